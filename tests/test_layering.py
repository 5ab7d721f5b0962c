"""Dependencies point one way: a file imports from its own package and from lower layers only.

    0  errors, shapes, registry, version, atomic, locks, finite, messages, text_width, words, table, fonts, text_files
    1  tensor_files/   sam3/   vocabulary   metrics/   geo/ (all but the files of layer 5)   demo/ (drawing of scenes)
    2  checkpoints   refiners/   datasets/
    3  engine/
    4  segmenter
    5  geo/scene, geo/scene_outputs, geo/polygonize
    6  mmseg_plugin/
    7  cli/   the package's own __init__ and __main__

Imports inside functions and under TYPE_CHECKING count as well.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "segearth_ov3"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE

# layer of a module, or of everything below it; the longest name that fits decides
LAYERS = {
    "errors": 0,
    "shapes": 0,
    "registry": 0,
    "version": 0,
    "atomic": 0,
    "text_files": 0,
    "locks": 0,
    "fonts": 0,
    "finite": 0,
    "messages": 0,
    "text_width": 0,
    "words": 0,
    "table": 0,
    "tensor_files": 1,
    "sam3": 1,
    "vocabulary": 1,
    "metrics": 1,
    "geo": 1,
    "demo": 1,
    "checkpoints": 2,
    "refiners": 2,
    "datasets": 2,
    "engine": 3,
    "segmenter": 4,
    "geo.scene": 5,
    "geo.scene_outputs": 5,
    "geo.polygonize": 5,
    "mmseg_plugin": 6,
    "cli": 7,
    "": 7,
    "__main__": 7,
}

BASE_LAYER = 0  # its files may import each other
OUTSIDE = {"tests", "tools", "benchmarks", "configs"}
MMSEG = {"mmseg", "mmengine", "mmcv"}
NETWORK = {"sam3", "engine", "segmenter", "checkpoints"}
SAM3_MAY_IMPORT = {"torch", "torchvision", "open_clip", "numpy"}
STANDARD = set(sys.stdlib_module_names)

FILES = sorted(ROOT.rglob("*.py"))


def module_of(path: Path) -> str:
    """Name of a file's module within the package ("geo.raster"; "" for the package itself)."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_package(path: Path) -> bool:
    return path.name == "__init__.py"


def layer_of(module: str) -> int | None:
    """Layer of a module of the package, None where the table does not cover it."""
    if module == "":
        return LAYERS[""]
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in LAYERS:
            return LAYERS[prefix]
    return None


def imports_of(source: str, module: str, package: bool) -> Iterator[str]:
    """Full names that a source text imports, wherever in the text; "segearth_ov3.x" for the package's own."""
    here = [PACKAGE, *(module.split(".") if module else [])]
    parent = here if package else here[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parent[: len(parent) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            if name == PACKAGE or not node.module:  # what is named may be a module
                yield from (f"{name}.{alias.name}" for alias in node.names)
            else:
                yield name


def violations(source: str, module: str, package: bool = False) -> list[str]:
    """Every import of a source text that the layers do not allow, with the reason."""
    layer = layer_of(module)
    if layer is None:
        return [f"{module}: not in the table of layers"]
    found = []
    for name in imports_of(source, module, package):
        top, _, inner = name.partition(".")
        if top == PACKAGE:
            reason = _inner_reason(module, layer, inner)
        else:
            reason = _outer_reason(module, top)
        if reason:
            found.append(f"{module or PACKAGE} imports {name}: {reason}")
    return found


def _inner_reason(module: str, layer: int, target: str) -> str | None:
    """Why a module may not import another one of the package."""
    own, other = module.partition(".")[0], target.partition(".")[0]
    target_layer = layer_of(target)
    if target_layer is None:
        return "not in the table of layers"
    if own == "geo" and other in NETWORK:
        return "geo knows no network"
    if target_layer > layer:
        return f"layer {target_layer} from layer {layer}"
    if target_layer == layer and own != other and layer != BASE_LAYER and module not in ("", "__main__"):
        return f"another package of layer {layer}"
    return None


def _outer_reason(module: str, top: str) -> str | None:
    """Why a module may not import a package from elsewhere."""
    own = module.partition(".")[0]
    if top in OUTSIDE:
        return "outside of the package"
    if top in MMSEG and own != "mmseg_plugin":
        return "only mmseg_plugin imports it"
    if own == "sam3" and top not in SAM3_MAY_IMPORT | STANDARD:
        return "sam3 is plain torch"
    return None


@pytest.mark.parametrize("path", FILES, ids=[path.relative_to(ROOT).as_posix() for path in FILES])
def test_file_imports_only_from_lower_layers(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8"), module_of(path), is_package(path)) == []


def test_files_of_the_package_are_found() -> None:
    assert {"errors", "geo.raster", "cli.main", ""} <= {module_of(path) for path in FILES}


@pytest.mark.parametrize(
    ("module", "source", "reason"),
    [
        ("sam3.vit", "from ..engine.scores import fuse", "layer 3 from layer 1"),
        ("sam3.vit", "from .. import segmenter", "layer 4 from layer 1"),
        ("engine.engine", "from ..segmenter import Segmenter", "layer 4 from layer 3"),
        ("errors", "import segearth_ov3.sam3.vit", "layer 1 from layer 0"),
        ("sam3.vit", "def f():\n    from ..checkpoints import load_sam3", "layer 2 from layer 1"),
        (
            "vocabulary",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .segmenter import Segmenter",
            "layer 4 from layer 1",
        ),
        ("engine.engine", "from .. import __version__", "not in the table"),
        ("sam3.vit", "from ..vocabulary import Vocabulary", "another package of layer 1"),
        ("refiners.base", "from ..datasets.specs import SPECS", "another package of layer 2"),
        ("mmseg_plugin.segmentor", "from ..cli.options import model_options", "layer 7 from layer 6"),
        ("cli.evaluate", "import mmseg", "only mmseg_plugin imports it"),
        ("metrics.confusion", "from mmengine.evaluator import BaseMetric", "only mmseg_plugin imports it"),
        ("metrics.confusion", "import mmcv.ops", "only mmseg_plugin imports it"),
        ("geo.scene", "from ..segmenter import Segmenter", "geo knows no network"),
        ("geo.scene", "from ..sam3.preprocess import preprocess", "geo knows no network"),
        ("geo.scene", "from ..checkpoints import load_sam3", "geo knows no network"),
        ("geo.raster", "from .scene import segment_scene", "layer 5 from layer 1"),
        ("geo.raster", "from . import polygonize", "layer 5 from layer 1"),
        ("demo.scenes", "from ..segmenter import Segmenter", "layer 4 from layer 1"),
        ("sam3.vit", "import scipy", "sam3 is plain torch"),
        ("sam3.vit", "from transformers import Sam3Model", "sam3 is plain torch"),
        ("segmenter", "from tests import golden", "outside of the package"),
        ("helpers", "", "not in the table"),
        ("engine.engine", "from ..helpers import x", "not in the table"),
    ],
)
def test_wrong_import_is_found(module: str, source: str, reason: str) -> None:
    (found,) = violations(source, module)
    assert reason in found


@pytest.mark.parametrize(
    ("module", "package", "source"),
    [
        ("registry", False, "from .errors import UnknownNameError"),
        ("sam3.vit", False, "import math\nimport torch.nn.functional as F\nfrom torch import nn\nimport numpy as np"),
        ("sam3.tokenizer", False, "import open_clip\nfrom ..errors import OptionError\nfrom .config import Sam3Config"),
        ("sam3", True, "from .model import Sam3"),
        ("segmenter", False, "from .geo.tiles import plan_windows\nfrom .engine.scores import fuse"),
        ("geo.scene", False, "from .raster import read_rgb\nimport torch\nimport rasterio"),
        ("cli.main", False, "from ..version import __version__\nfrom .options import x\nimport click"),
        ("cli.evaluate", False, "def f():\n    from ..mmseg_plugin.configuration import load_config"),
        ("mmseg_plugin.segmentor", False, "from mmseg.models import BaseSegmentor\nfrom ..segmenter import Segmenter"),
        ("", True, "from .segmenter import Segmenter\nfrom .cli import main"),
        ("__main__", False, "from .cli.main import main"),
        ("demo.scenes", False, "from ..registry import lookup\nfrom .layout import draw_plan"),
    ],
)
def test_right_imports_pass(module: str, package: bool, source: str) -> None:
    assert violations(source, module, package) == []
