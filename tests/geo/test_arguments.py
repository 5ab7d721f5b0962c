from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_model import FakeSam3

from segearth_ov3.errors import OptionError
from segearth_ov3.geo.scene import segment_scene


def predict(images: np.ndarray) -> np.ndarray:
    raise AssertionError("nothing is to be computed")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"src": np.zeros((9, 9, 3), np.uint8)}, r"expected src as a path, got ndarray; label an array by segmenter"),
        ({"src": None}, "expected src as a path, got NoneType"),
        ({"dst": 5}, "expected dst as a path, got int"),
        ({"outputs": "sure.tif"}, r"expected outputs=Outputs\(\.\.\.\) of segearth_ov3\.geo\.scene, got 'sure\.tif'"),
        ({"windows": 512}, r"expected windows=WindowOptions\(\.\.\.\) of segearth_ov3\.geo\.scene, got 512"),
        ({"reading": {"bands": (1, 2, 3)}}, r"expected reading=ReadOptions\(\.\.\.\)"),
        ({"progress": True}, "expected progress as a function, 'bar' or None, got True"),
        ({"predict": "sam3.pt"}, "expected a Segmenter, another Predictor or a function, got 'sam3.pt'"),
        ({"predict": FakeSam3()}, r"expected a Segmenter, got a network; pass Segmenter\(model, vocabulary\)"),
    ],
)
def test_argument_of_another_type_gets_help(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    right = {"src": tmp_path / "missing.tif", "dst": tmp_path / "labels.tif", "predict": predict, "classes": ["a", "b"]}
    with pytest.raises(OptionError, match=message):
        segment_scene(**{**right, **arguments})
