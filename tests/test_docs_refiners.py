"""The snippets of docs/refiners.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from segearth_ov3.refiners import REFINERS, build_refiners
from segearth_ov3.refiners.base import RefinerContext

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "refiners.md").read_text(encoding="utf-8")
USING, ADDING = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_page_names_every_refiner() -> None:
    assert all(f"| `{name}` |" in PAGE for name in REFINERS)


def test_segmenter_of_the_page_has_its_refiners() -> None:
    names: dict[str, object] = {}
    exec(USING, names)
    assert [refiner["type"] for refiner in names["segmenter"].describe()["refiners"]] == ["smoothing", "lowpass"]


def test_refiner_of_the_page_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segearth_ov3.refiners.REFINERS", dict(REFINERS))
    exec(ADDING, {})
    (centring,) = build_refiners(["centring:weight=1.0,at=pyramid"])
    tokens = torch.rand((2, 3, 5, 5), generator=torch.Generator().manual_seed(0))
    refined = centring(tokens, RefinerContext(torch.zeros(2, 3, 8, 8)))
    torch.testing.assert_close(refined.mean((2, 3)), torch.zeros(2, 3))
    assert centring.at == "pyramid"
    assert len(ADDING.strip().splitlines()) <= 24
