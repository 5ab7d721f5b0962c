"""Reading of label rasters: one band of whole numbers, and names of classes in the metadata if it is one of ours."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rasterio.enums import MaskFlags
from rasterio.windows import Window

from ..errors import OptionError, RasterError
from .access import DEFAULT_ACCESS, Access
from .bands import BandChoice
from .gdal import reading
from .names import shown_name
from .raster import RasterProfile, describe_raster, open_raster
from .validity import equals_nodata

if TYPE_CHECKING:
    from rasterio.io import DatasetReader


@dataclasses.dataclass(frozen=True)
class LabelRaster:
    """An open label raster.

    Attributes:
        dataset: The raster.
        profile: Where it lies.
        names: Names of classes 0, 1, ...; empty if the file has none.
        background: Number of the background class, or None if the file does not name one.
    """

    dataset: DatasetReader
    profile: RasterProfile
    names: tuple[str, ...]
    background: int | None

    def name_of(self, value: int) -> str:
        """Name of a class; `class_n` where the file has none."""
        return self.names[value] if 0 <= value < len(self.names) else f"class_{value}"

    def find_classes(self, wanted: Sequence[str | int]) -> list[int]:
        """Numbers of classes given by name or number.

        Args:
            wanted: Names, as `name_of` gives them, or numbers, also as text.

        Returns:
            The numbers.

        Raises:
            OptionError: The raster has no such class; the message lists those it has.
        """
        numbers = {name: index for index, name in enumerate(self.names)}
        found = []
        for entry in wanted:
            text = str(entry).strip()
            number = numbers.get(text)
            if number is None:
                digits = text.removeprefix("class_")
                number = int(digits) if digits.removeprefix("-").isdecimal() else None
            if number is None or (self.names and not 0 <= number < len(self.names)):
                raise OptionError(f"{self.profile.shown} has no class {text!r}; {self._advice(text)}")
            found.append(number)
        return found

    def _advice(self, text: str) -> str:
        """What to give in place of a class that is not there."""
        if not self.names:
            return "it has no names of classes, give their numbers"
        close = difflib.get_close_matches(text.lower(), self.names, n=1)
        guess = f"did you mean {close[0]!r}? " if close else ""
        known = ", ".join(f"{index} {name}" for index, name in enumerate(self.names))
        return f"{guess}expected one of: {known}"

    def read_rows(self, start: int, stop: int, missing: int) -> np.ndarray:
        """Labels of rows `start` to `stop` - 1, (stop - start, W0), int32, `missing` where there are no data."""
        window = Window(0, start, self.profile.width, stop - start)
        with reading(self.profile.path):
            labels = self.dataset.read(1, window=window)
            is_missing = equals_nodata(labels, self.profile.nodata)  # GDAL's mask drops it if there is another mask
            if MaskFlags.all_valid not in self.dataset.mask_flag_enums[0]:
                is_missing |= self.dataset.read_masks(1, window=window) == 0
        labels = labels.astype(np.int32)
        labels[is_missing] = missing
        return labels


@contextlib.contextmanager
def open_labels(path: str | os.PathLike[str], access: Access = DEFAULT_ACCESS) -> Iterator[LabelRaster]:
    """Open a label raster.

    Args:
        path: A raster with one band of 8 or 16 bits, or of 32 bits with a sign.
        access: Files and servers that it may refer to, see `geo.access`.

    Yields:
        The raster.

    Raises:
        RasterError: The file is missing, damaged, or not such a raster.
    """
    with open_raster(path, access) as dataset:
        dtypes = dataset.dtypes
        if len(dtypes) != 1 or not (np.dtype(dtypes[0]).kind in "iu" and np.can_cast(dtypes[0], np.int32)):
            raise RasterError(
                f"{shown_name(path)} is no label raster: expected one band of whole numbers (uint8, int16, uint16 or "
                f"int32), found {len(dtypes)} of {', '.join(sorted(set(dtypes)))}; to label a picture, use "
                f"segearth-ov3 segment"
            )
        names = _class_names(dataset.tags())
        profile = describe_raster(dataset, str(path), BandChoice((1, 1, 1), alpha=None))
        yield LabelRaster(dataset, profile, names, _background(dataset.tags(), names))


def _class_names(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Names as `geo.maps` stores them: a JSON list, or one by one from CLASS_0 on."""
    try:
        names = json.loads(tags.get("CLASS_NAMES", ""))
    except ValueError:
        names = None
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return tuple(names)
    numbered: list[str] = []
    while (name := tags.get(f"CLASS_{len(numbered)}")) is not None:
        numbered.append(name)
    return tuple(numbered)


def _background(tags: Mapping[str, str], names: Sequence[str]) -> int | None:
    """The background class: as it was when the raster was made, else the class of that name."""
    stored = tags.get("SEGEARTH_OV3_BACKGROUND", "")
    if stored.isdecimal():
        return int(stored)
    return names.index("background") if "background" in names else None
