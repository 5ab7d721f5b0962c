"""The files of `configs/refiners` can be read, and hold the rows that they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segearth_ov3.engine.scores import FusionSettings

pytestmark = pytest.mark.mmseg

FOLDER = Path(__file__).resolve().parents[1] / "configs" / "refiners"
SETTINGS = FusionSettings(prob_threshold=0.3, confidence_threshold=0.4)


def chains(name: str) -> list[list[dict[str, Any]]]:
    """Refiners of each row of a file, the baseline left out."""
    from segearth_ov3.mmseg_plugin.ablation import read_variants

    return [each.refiners for each in read_variants(FOLDER / f"{name}.py", SETTINGS)[1:]]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_file_has_rows(path: Path) -> None:
    assert chains(path.stem)


def test_seed_set_is_complete() -> None:
    rows = [
        [("smoothing", "weight", 0.2)],
        [("lowpass", "radius", 12), ("lowpass", "alpha", 0.2)],
        [("clip_similarity", "beta", 0.3)],
        *([("graph_laplacian", "lam", lam)] for lam in (0.1, 0.3, 1.0)),
    ]
    found = chains("seed") + chains("clip")
    for at in ("trunk", "pyramid", "memory"):
        for row in rows:
            wanted = {"type": row[0][0], "at": at, **{key: value for _, key, value in row}}
            assert any(len(chain) == 1 and wanted.items() <= chain[0].items() for chain in found), wanted
        orders = [[each["type"] for each in chain] for chain in found if {each["at"] for each in chain} == {at}]
        assert ["smoothing", "lowpass", "clip_similarity"] in orders


def with_published_weights(chain: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, "pretrained": "openai"} if each["type"] == "clip_similarity" else each for each in chain]


def test_control_is_the_set_with_clip_row_for_row() -> None:
    controls, rows = chains("clip_control"), chains("clip")
    assert list(map(with_published_weights, controls)) == rows != controls


def test_channel_has_its_control() -> None:
    row, control = chains("clip_channel")
    assert with_published_weights(control) == row != control
