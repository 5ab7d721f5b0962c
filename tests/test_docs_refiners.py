"""The snippets of docs/refiners.md run as they stand."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

from segearth_ov3.refiners import REFINERS, build_refiners, describe_refiner
from segearth_ov3.refiners.base import RefinerContext

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "refiners.md").read_text(encoding="utf-8")
USING, ADDING = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_page_names_every_refiner() -> None:
    assert all(f"| `{name}` |" in PAGE for name in REFINERS)


def test_segmenter_of_the_page_has_its_refiners() -> None:
    names: dict[str, object] = {}
    exec(USING, names)
    assert [refiner["type"] for refiner in names["segmenter"].describe()["refiners"]] == ["smoothing", "lowpass"]


def test_refiner_of_the_page_works_by_its_dotted_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "my_refiner.py").write_text(ADDING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_refiner", raising=False)
    (text,) = re.findall(r"`--refiner (my_refiner\S+)`", PAGE)
    (centring,) = build_refiners([text])
    assert describe_refiner(centring) == {"type": "my_refiner.Centring", "weight": 0.2, "at": "memory"}
    tokens = torch.rand((2, 3, 5, 5), generator=torch.Generator().manual_seed(0))
    (whole,) = build_refiners(["my_refiner.Centring:weight=1.0"])
    refined = whole(tokens, RefinerContext(torch.zeros(2, 3, 8, 8)))
    torch.testing.assert_close(refined.mean((2, 3)), torch.zeros(2, 3))
    assert len(ADDING.strip().splitlines()) <= 24
