"""Where the outputs of a scene go, checked before any computing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import RasterError
from .access import DEFAULT_ACCESS, Access
from .journal import Layer
from .maps import MapKind, confidence_map, label_map, score_map
from .options import Outputs, PathLike
from .output import GEOTIFF_SUFFIXES, PICTURE_SUFFIXES, check_destination
from .ownership import Overwrite
from .palette import Color
from .raster import open_raster
from .sources import source_files
from .style import STYLE_SUFFIX, style_path
from .unfinished import partial_folder
from .vectors import DRIVERS

_SUFFIXES: dict[str, Sequence[str]] = {
    "labels": GEOTIFF_SUFFIXES,
    "confidence": GEOTIFF_SUFFIXES,
    "scores": GEOTIFF_SUFFIXES,
    "overlay": PICTURE_SUFFIXES,
    "vector": tuple(DRIVERS),
    "style": (STYLE_SUFFIX,),
}


class Results:
    """What is written for a scene.

    Args:
        src: The scene.
        dst: The class map.
        outputs: What else.
        access: What the scene may refer to, see `geo.access`.
        overwrite: As in `output.check_destination`.
        resume: Keep or replace outputs of an interrupted or a complete run.

    Attributes:
        paths: Output files by kind: "labels", and of "confidence", "scores", "overlay", "vector", "style" those wanted.
        cog: Whether maps are cloud-optimised GeoTIFFs.
        is_complete: Whether there is a class map that is to be kept if it is the one that is wanted.

    Raises:
        RasterError: The scene cannot be opened, a file cannot be written, or two of them have one name.
    """

    def __init__(
        self,
        src: PathLike,
        dst: PathLike,
        outputs: Outputs,
        *,
        access: Access = DEFAULT_ACCESS,
        overwrite: Overwrite = False,
        resume: bool = False,
    ) -> None:
        with open_raster(src, access) as dataset:
            files = source_files(dataset)
        self.paths: dict[str, Path] = {}
        may_keep = resume and (Path(dst).exists() or partial_folder(Path(dst)).exists())
        for name, path in output_paths(dst, outputs).items():
            target = check_destination(path, files, overwrite=overwrite or may_keep, suffixes=_SUFFIXES[name])
            if target.resolve() in {other.resolve() for other in self.paths.values()}:
                raise RasterError(f"cannot write {path} twice: the outputs of a scene need different names")
            self.paths[name] = target
        self.cog = outputs.cog
        self.is_complete = resume and not overwrite and self.paths["labels"].exists()

    def kinds(
        self, classes: Sequence[str], colors: Sequence[Color] | None, tags: Mapping[str, Any]
    ) -> dict[str, MapKind]:
        """The maps among the results, by name."""
        kinds = {
            "labels": label_map(classes, colors, tags),
            "confidence": confidence_map(tags),
            "scores": score_map(classes, tags),
        }
        return {name: kind for name, kind in kinds.items() if name in self.paths}


def output_paths(dst: PathLike, outputs: Outputs) -> dict[str, Path]:
    """Return the files that are written for a scene, by their kind, the class map first."""
    paths = {
        "labels": dst,
        "confidence": outputs.confidence,
        "scores": outputs.scores,
        "overlay": outputs.overlay,
        "vector": outputs.vector,
        "style": style_path(Path(dst)) if outputs.style else None,
    }
    return {name: Path(path) for name, path in paths.items() if path is not None}


def layers_of(kinds: Mapping[str, MapKind]) -> dict[str, Layer]:
    """What has to be kept of every row for these maps."""
    return {name: Layer(kind.dtype, len(kind.names)) for name, kind in kinds.items()}
