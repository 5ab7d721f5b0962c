"""Which scenes a command works on, and where their results go."""

from __future__ import annotations

import codecs
import dataclasses
import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import RasterError
from ..geo.names import is_gdal_name, local_path, shown_name
from ..text_files import read_small_file

if TYPE_CHECKING:
    from ..geo.options import Outputs, PathLike

RASTER_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".img", ".png", ".jpg", ".jpeg")
DEFAULT_NAME = "{stem}_classes.tif"
_FIELD = re.compile(r"\{(?:stem|parent)\}")


@dataclasses.dataclass(frozen=True)
class SceneTask:
    """A scene and its results.

    Attributes:
        src: The scene.
        dst: The class map.
        outputs: What is written besides.
    """

    src: str
    dst: str
    outputs: Outputs


class ShardType(click.ParamType):
    """A part of the work: "2/8"."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return the number of the part, from 1, and how many there are."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d+)/(\d+)", value)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            self.fail(f"expected the part and the number of parts, 1/8 to 8/8, got {value!r}", param, ctx)
        return int(match[1]), int(match[2])


def expand_sources(given: Sequence[str]) -> list[str]:
    """Find the scenes that arguments mean, each once, in their order.

    Args:
        given: Files, GDAL URLs, patterns ("tiles/**/*.tif"), folders (all rasters directly in them, by their names),
            and text files (.txt: a scene per line, relative to the working directory; lines with # are comments).

    Returns:
        The scenes; whether they can be read is found out later.

    Raises:
        RasterError: A pattern or a folder gives none, or a list cannot be read.
    """
    found: list[str] = []
    for item in given:
        scenes, problem = [item], ""
        if is_gdal_name(item):  # its ? and [ are no pattern
            pass
        elif os.path.isdir(item):
            scenes, problem = _rasters_in(item), f"the folder {item} has no rasters ({', '.join(RASTER_SUFFIXES)})"
        elif Path(item).suffix.lower() == ".txt":
            scenes, problem = _listed(Path(item)), f"the list {item} names no scenes"
        elif glob.has_magic(item) and not os.path.exists(item):
            scenes, problem = sorted(glob.glob(item, recursive=True)), f"no file fits {item}"
        if not scenes:
            raise RasterError(problem)
        found += scenes
    return list(dict.fromkeys(found))


def plan_tasks(
    sources: Sequence[str], folder: str, name: str, outputs: Outputs, shard: tuple[int, int] = (1, 1)
) -> list[SceneTask]:
    """Decide where the results of several scenes go.

    Args:
        sources: The scenes.
        folder: Folder for all results.
        name: Name of a class map with "{stem}" (file name without ending) and "{parent}" (its folder's name); of a URL,
            without what follows its "?".
        outputs: What else is written; its paths are names of the same kind.
        shard: Number of the part to do, from 1, and of all parts.

    Returns:
        The tasks of this part. Scenes that are results of others are left out.

    Raises:
        RasterError: A name has no such field, or two scenes would have the same results.
    """
    owners: dict[str, str] = {}
    tasks = []
    for src in sources:
        dst = str(Path(folder) / _filled(name, src))
        besides: dict[str, Any] = {
            key: str(Path(folder) / _filled(str(pattern), src)) for key, pattern in _named_outputs(outputs).items()
        }
        for path in (dst, *besides.values()):
            if owners.setdefault(path, src) != src:
                raise RasterError(
                    f"{shown_name(owners[path])} and {shown_name(src)} would both be written to {path}; use names with "
                    f"{{parent}} or {{stem}}, for example --name '{{parent}}_{{stem}}.tif'"
                )
        tasks.append(SceneTask(src, dst, dataclasses.replace(outputs, **besides)))
    results = {os.path.realpath(path): src for path, src in owners.items()}
    tasks = [task for task in tasks if results.get(os.path.realpath(task.src), task.src) == task.src]
    return tasks[shard[0] - 1 :: shard[1]]


def _named_outputs(outputs: Outputs) -> dict[str, PathLike]:
    """The outputs that are wanted and have names of their own."""
    names = {name: getattr(outputs, name) for name in ("confidence", "scores", "overlay", "vector")}
    return {name: path for name, path in names.items() if path is not None}


def make_folders(task: SceneTask) -> None:
    """Make the folders of the results of a scene.

    Raises:
        RasterError: One cannot be made.
    """
    for path in (task.dst, *_named_outputs(task.outputs).values()):
        make_folder(Path(path).parent)


def make_folder(folder: Path) -> None:
    """Make a folder for results.

    Raises:
        RasterError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RasterError(f"cannot make the folder {folder}: {error.strerror}; choose another folder") from error


def _filled(pattern: str, src: str) -> str:
    """A name for the results of a scene."""
    source = Path(shown_name(local_path(src)))
    parent = source.parent.name if is_gdal_name(src) else os.path.basename(os.path.dirname(os.path.realpath(src)))
    fields = {"{stem}": source.stem, "{parent}": parent}
    if re.search(r"[{}]", _FIELD.sub("", pattern)):
        raise RasterError(f"expected a name with {{stem}} or {{parent}}, got {pattern!r}")
    return _FIELD.sub(lambda field: fields[field[0]], pattern)


def _rasters_in(folder: str) -> list[str]:
    """The rasters directly in a folder, by their names."""
    try:
        files = sorted(Path(folder).iterdir())
    except OSError as error:
        raise RasterError(f"cannot read the folder {folder}: {error.strerror}") from error
    return [str(file) for file in files if _is_raster(file)]


def _is_raster(file: Path) -> bool:
    return file.suffix.lower() in RASTER_SUFFIXES and not file.name.startswith(".") and os.path.isfile(file)


def _listed(path: Path) -> list[str]:
    """The scenes that a list names; names that are not UTF-8 are kept as they are."""
    try:
        text = os.fsdecode(read_small_file(path).removeprefix(codecs.BOM_UTF8))
    except OSError as error:
        raise RasterError(f"cannot read the list {path}: {error.strerror}") from error
    if "\0" in text:
        raise RasterError(f"cannot read the list {path}: expected UTF-8 text with a scene per line")
    lines = re.split(r"\r\n|\r|\n", text)
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
