"""All benchmark sets by name. A set is added by one entry in the file of its group, a vocabulary, a configuration
and a converter in `tools/prepare_data`."""

from __future__ import annotations

from ..demo.materials import SCENE_CLASSES, SCENE_COLORS
from .change import CHANGE
from .extraction import EXTRACTION
from .general import GENERAL
from .published import Settings
from .semantic import SEMANTIC
from .spec import ClassColor, DatasetSpec

DEMO = DatasetSpec(
    name="demo",
    title="Generated scenes",
    group="generated",
    legend=tuple(ClassColor(name, color) for name, color in zip(SCENE_CLASSES, SCENE_COLORS, strict=True)),
    root="demo_scenes",
    image_dir="images",
    label_dir="labels",
    image_suffix=".png",
    label_suffix=".png",
    settings=Settings(0.0, 0.5, None, window=336, stride=168),
    items=50,
    licence="Apache-2.0",
    homepage="made on first use by segearth_ov3.demo.scenes",
    own_words=True,
)

SPECS: dict[str, DatasetSpec] = {**SEMANTIC, **EXTRACTION, **GENERAL, **CHANGE, DEMO.name: DEMO}
