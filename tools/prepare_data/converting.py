"""Carrying out a recipe: plan every file, write what is not there yet, each complete or not at all.

The label of an item is written last, so an item whose label is there is finished; a second run goes on where the
first was interrupted.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tqdm import tqdm

from segearth_ov3.atomic import complete_or_absent
from segearth_ov3.datasets import DatasetSpec
from segearth_ov3.datasets.reading import read_picture
from segearth_ov3.errors import DatasetError

from .crop_plans import Crop
from .pixels import Notes, cut, read_indices, read_size, write_picture
from .recipe import Pair, Recipe


class Item(NamedTuple):
    """One image of the prepared set: its name, and the part of the pair that it is."""

    name: str
    crop: Crop | None


class Work(NamedTuple):
    """A pair and the items made from it."""

    pair: Pair
    items: tuple[Item, ...]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the files of a prepared set lie."""

    spec: DatasetSpec
    root: Path

    def image(self, name: str) -> Path:
        """Image of an item."""
        return self.root / self.spec.image_dir / f"{name}{self.spec.image_suffix}"

    def later(self, name: str) -> Path:
        """Later image of an item."""
        return self.root / self.spec.after_dir / f"{name}{self.spec.image_suffix}"

    def label(self, name: str) -> Path:
        """Label of an item; where there is no folder of labels, masks lie beside the folders of images."""
        stem = name if self.spec.label_dir else name.replace("/images/", "/masks/")
        return self.root / self.spec.label_dir / f"{stem}{self.spec.label_suffix}"


def layout_of(spec: DatasetSpec, out: Path, *, published: bool = False) -> Layout:
    """The prepared set below the folder of all sets; the published way gets a folder of its own."""
    first, *rest = PurePosixPath(spec.root).parts
    return Layout(spec, out.joinpath(f"{first}-published" if published else first, *rest))


def plan(recipe: Recipe, pairs: Sequence[Pair]) -> list[Work]:
    """All items of all pairs; only the headers of images are read.

    Raises:
        DatasetError: An image cannot be read or is too small.
    """
    return [Work(pair, tuple(_items(recipe, pair))) for pair in pairs]


def convert(
    recipe: Recipe, layout: Layout, works: Sequence[Work], *, overwrite: bool, workers: int, notes: Notes
) -> int:
    """Write the files of all items that are not there.

    Args:
        recipe: How.
        layout: Where.
        works: What.
        overwrite: Whether to write files that are there again.
        workers: Number of threads.
        notes: Takes what the label readers counted.

    Returns:
        Number of items written.

    Raises:
        DatasetError: A file cannot be read, or image and label differ in size.
        OSError: A file cannot be written.
    """
    open_works = [work for work in works if overwrite or not all(_is_done(layout, item) for item in work.items)]
    written = 0
    with ThreadPoolExecutor(workers) as pool:
        jobs = pool.map(lambda work: _convert_pair(recipe, layout, work, overwrite, notes), open_works)
        try:
            for count in tqdm(jobs, total=len(open_works), desc=layout.spec.name, unit="image", disable=None):
                written += count
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if recipe.lists:
        write_list(layout, [item.name for work in works for item in work.items])
    return written


def write_list(layout: Layout, names: Sequence[str]) -> None:
    """Write the list of images that the configuration reads."""
    target = layout.root / layout.spec.id_list
    target.parent.mkdir(parents=True, exist_ok=True)
    with complete_or_absent(target) as partial:
        partial.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _items(recipe: Recipe, pair: Pair) -> list[Item]:
    if recipe.crops is None:
        return [Item(pair.name, None)]
    try:
        crops = recipe.crops(*read_size(pair.image))
    except DatasetError as error:
        raise DatasetError(f"{pair.image}: {error}") from error
    return [Item(f"{pair.name}_{crop.name}", crop) for crop in crops]


def _is_done(layout: Layout, item: Item) -> bool:
    paths = [layout.image(item.name), layout.label(item.name)]
    if layout.spec.after_dir:
        paths.append(layout.later(item.name))
    return all(path.is_file() for path in paths)


def _convert_pair(recipe: Recipe, layout: Layout, work: Work, overwrite: bool, notes: Notes) -> int:
    """Write the items of one pair; returns how many."""
    pair = work.pair
    items = [item for item in work.items if overwrite or not _is_done(layout, item)]
    _write_images(recipe, pair.image, [(item, layout.image(item.name)) for item in items])
    if pair.later is not None:
        _write_images(recipe, pair.later, [(item, layout.later(item.name)) for item in items])
    if recipe.read_label is None and recipe.crops is None:
        for item in items:
            take(pair.label, layout.label(item.name))
        return len(items)
    labels = (recipe.read_label or read_indices)(pair.label, notes)
    width, height = read_size(pair.image)
    if labels.shape != (height, width):
        raise DatasetError(f"{pair.image} has {(height, width)} pixels and {pair.label} {labels.shape}")
    for item in items:
        part = labels if item.crop is None else cut(labels, item.crop[1:], fill=layout.spec.ignore_index)
        write_picture(part, layout.label(item.name))
    return len(items)


def _write_images(recipe: Recipe, source: Path, targets: Sequence[tuple[Item, Path]]) -> None:
    """Write the parts of one image; a whole one in the right format is taken as it is."""
    if recipe.read_image is None and recipe.crops is None and source.suffix == targets[0][1].suffix:
        for _, target in targets:
            take(source, target)
        return
    pixels = (recipe.read_image or read_picture)(source)
    for item, target in targets:
        write_picture(pixels if item.crop is None else cut(pixels, item.crop[1:], fill=0), target)


def take(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system cannot; nothing if it is the same already."""
    if target.exists() and os.path.samefile(source, target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with complete_or_absent(target) as partial:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)
