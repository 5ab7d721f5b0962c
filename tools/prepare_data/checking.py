"""Looking at a prepared set as a whole: equal names, equal sizes, values that are classes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from segearth_ov3.datasets import DatasetSpec
from segearth_ov3.datasets.label_notes import note_absent_classes, note_mask_of_255
from segearth_ov3.errors import DatasetError
from segearth_ov3.metrics.confusion import NO_CLASS

from .converting import Layout
from .pixels import read_indices, read_size
from .recipe import Source, list_files, match, read_ids

_PNG_DEPTH_BYTE = 24  # of the file: bits per channel


class Checked(NamedTuple):
    """What was found: number of images, and pixels of each stored label value (256,)."""

    images: int
    pixels: np.ndarray


def check_prepared(layout: Layout, expected_names: Sequence[str] | None = None, *, workers: int = 1) -> Checked:
    """Check every file of a prepared set.

    Args:
        layout: Where it lies.
        expected_names: Items that should be there; None: whatever is there.
        workers: Number of threads.

    Returns:
        What was found.

    Raises:
        DatasetError: Files are missing or do not belong, sizes differ, or a label has values that are no class.
    """
    spec = layout.spec
    if not spec.label_dir:
        return _check_colored(layout)
    folders = [layout.root / folder for folder in (spec.image_dir, spec.label_dir, spec.after_dir) if folder]
    for folder in folders:
        if not folder.is_dir():
            raise DatasetError(f"{spec.title} not found: no folder {folder}; prepare the set by --src DIR")
    images, labels = list_files(folders[0], spec.image_suffix), list_files(folders[1], spec.label_suffix)
    later = list_files(folders[2], spec.image_suffix) if spec.after_dir else None
    ids = read_ids(layout.root / spec.id_list) if spec.id_list else None
    pairs = match(images, labels, Source(layout.root), later=later, ids=ids)
    if expected_names is not None and ids is None and (extra := sorted(set(images) - set(expected_names))):
        raise DatasetError(f"{len(extra)} files in {folders[0]} do not belong to the set: {', '.join(extra[:3])}")
    with ThreadPoolExecutor(workers) as pool:
        jobs = pool.map(lambda pair: _check_pair(spec, pair.image, pair.label, pair.later), pairs)
        counts = list(tqdm(jobs, total=len(pairs), desc="checking", unit="image", disable=None))
    if len(spec.classes) > 2 and all(_is_one_bit(pair.label) for pair in pairs):
        raise DatasetError(
            f"all labels in {folders[1]} have one bit per pixel: they were written by a converter whose labels Pillow "
            f"10.1 and newer flatten to 0 and 1; remove them and prepare the set again"
        )
    return Checked(len(pairs), np.sum(counts, axis=0))


def stored_values(spec: DatasetSpec) -> set[int]:
    """Values that labels of a set may hold."""
    shift = int(spec.reduce_zero_label)
    return {*range(len(spec.classes) + shift), spec.ignore_index, *([NO_CLASS] if spec.has_no_class_pixels else [])}


def note_on_labels(spec: DatasetSpec, checked: Checked) -> str:
    """One line where 255 seems to mark the class of a mask, or classes occur in no label; empty otherwise."""
    pixels = np.zeros_like(checked.pixels)
    count, shift = len(spec.classes), int(spec.reduce_zero_label)
    pixels[:count] = checked.pixels[shift : count + shift]
    pixels[spec.ignore_index] = checked.pixels[spec.ignore_index]
    note = note_mask_of_255(pixels, spec.classes, checked.images)
    return note or note_absent_classes(pixels, spec.classes, checked.images)


def _check_pair(spec: DatasetSpec, image: Path, label: Path, later: Path | None) -> np.ndarray:
    """Pixels of each value in a label (256,)."""
    values = read_indices(label)
    for path in (image, later):
        if path is not None and read_size(path) != values.shape[::-1]:
            width, height = read_size(path)
            raise DatasetError(f"{path} has {(height, width)} pixels and its label {label} {values.shape}")
    counts = np.bincount(values.ravel(), minlength=256)
    if strange := sorted(set(np.flatnonzero(counts).tolist()) - stored_values(spec)):
        raise DatasetError(f"{label}: values {strange[:5]} are no class of {spec.name}; prepare the set again")
    return counts


def _check_colored(layout: Layout) -> Checked:
    """Check names and sizes of the Dubai set, whose labels are colours in folders beside the images."""
    pairs = [(path, path.parents[1] / "masks" / f"{path.stem}.png") for path in layout.root.glob("Tile */images/*.jpg")]
    if not pairs:
        raise DatasetError(f"no images 'Tile N/images/*.jpg' in {layout.root}; prepare the set by --src DIR")
    for image, label in pairs:
        if read_size(image) != read_size(label):
            raise DatasetError(f"{image} has {read_size(image)} pixels and its label {read_size(label)}")
    return Checked(len(pairs), np.zeros(256, dtype=np.int64))


def _is_one_bit(path: Path) -> bool:
    """Whether a PNG stores one bit per pixel."""
    with path.open("rb") as file:
        head = file.read(_PNG_DEPTH_BYTE + 1)
    return head.startswith(b"\x89PNG") and head[_PNG_DEPTH_BYTE] == 1
