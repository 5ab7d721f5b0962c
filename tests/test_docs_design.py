"""docs/design.md names modules, files, classes and functions that exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import segearth_ov3
from segearth_ov3.sam3.config import Sam3Config

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`([A-Za-z_][\w./]*)(?:\([^`]*\))?`", PAGE)))
OUTSIDE = {"mmcv.ops", "ctypes"}
WORDS = {"presence", "at", "needs"}
HOLDERS = [
    *("sam3.model.Sam3", "sam3.model", "checkpoints", "engine.variants", "engine.engine", "segmenter.Segmenter"),
    *("refiners", "geo.scene", "mmseg_plugin.benchmark_dataset", "mmseg_plugin.generated_scenes", "vocabulary"),
]


def find(dotted: str) -> object:
    """A module, or what is in it."""
    parts = dotted.split(".")
    for count in range(len(parts), -1, -1):
        try:
            thing: object = importlib.import_module(".".join(["segearth_ov3", *parts[:count]]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            thing = getattr(thing, part)
        return thing
    raise AttributeError(dotted)


def exists(name: str) -> bool:
    """Whether a name of the page is a file, a folder, or a module, class or function of the package."""
    if any((folder / name).exists() for folder in (ROOT, ROOT / "segearth_ov3")):
        return True
    for holder in ["", *HOLDERS]:
        try:
            find(f"{holder}.{name}".strip("."))
        except AttributeError:
            continue
        return True
    return False


@pytest.mark.mmseg
@pytest.mark.parametrize("name", [name for name in NAMES if name not in OUTSIDE | WORDS | {"segearth"}])
def test_name_exists(name: str) -> None:
    importlib.import_module("segearth_ov3.mmseg_plugin.benchmark_dataset")
    importlib.import_module("segearth_ov3.mmseg_plugin.generated_scenes")
    assert exists(name)


def test_invented_name_would_be_found() -> None:
    assert not exists("geo.teleport")
    assert not exists("PromptMachine")
    assert segearth_ov3.__name__ == "segearth_ov3"


def test_sizes_are_those_of_the_network() -> None:
    config = Sam3Config.base()
    tokens = (config.image_size // config.patch_size) ** 2
    assert f"resize to {config.image_size}²" in PAGE
    assert f"trunk: {tokens} tokens × {config.vit_dim}" in PAGE
    assert f"memory {tokens} × {config.dim}" in PAGE
    assert f"text tokens {config.context_length} × {config.dim}" in PAGE
    assert f"decoder: {config.queries} queries" in PAGE
    grid = config.image_size // config.patch_size
    assert f"pyramid: {4 * grid}², {2 * grid}², {grid}² × {config.dim}" in PAGE
