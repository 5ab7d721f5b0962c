"""Pixels of an open raster by window: 8-bit RGB, and where they are valid.

Arrays are (row, col). Validity is True where a pixel carries information.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from rasterio.enums import Resampling
from rasterio.windows import Window

from ..errors import OptionError, RasterError
from .access import Access
from .bands import BandChoice, looks_transparent
from .gdal import reading
from .remarks import describe_clipping, describe_collar, describe_statements, find_collar, warn_of_stretch
from .sampling import sample_border, sample_pixels
from .stretch import DEFAULT_PERCENTILES, Stretch, percentile_stretch, range_stretch
from .validity import Validity, validity_of

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

    from .raster import RasterProfile

_CHUNK_ROWS = 256  # of values at full depth, before they become 8 bits


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """How a raster becomes 8-bit RGB; the defaults decide by what the file says.

    Attributes:
        bands: Numbers of red, green and blue, from 1; None: see `geo.bands`.
        percentiles: Shares in percent that become black and white; None: 2 and 98, and 8-bit values stay as they are.
        value_range: Values that become black and white, in place of percentiles.
        nodata: Value of pixels without information, in addition to masks; "auto": the file's, "none": no value.
        alpha: What a band tagged as transparency is: "use" it as a mask, "ignore" it, or "auto": by its values.
        allow_outside: Let the raster refer to files outside of its own folder, see `geo.access`.
        allow_network: Let the raster refer to servers.

    Raises:
        OptionError: A value is not admissible, or both percentiles and a range are given.
    """

    bands: tuple[int, int, int] | None = None
    percentiles: tuple[float, float] | None = None
    value_range: tuple[float, float] | None = None
    nodata: float | Literal["auto", "none"] = "auto"
    alpha: Literal["auto", "use", "ignore"] = "auto"
    allow_outside: bool = False
    allow_network: bool = False

    @property
    def access(self) -> Access:
        """What the raster may refer to."""
        return Access(self.allow_outside, self.allow_network)

    def __post_init__(self) -> None:
        if self.percentiles is not None and self.value_range is not None:
            raise OptionError("expected percentiles or a range of values for the stretch, got both")
        if isinstance(self.nodata, str) and self.nodata not in ("auto", "none"):
            raise OptionError(f"expected nodata as a number, auto or none, got {self.nodata!r}")
        if self.alpha not in ("auto", "use", "ignore"):
            raise OptionError(f"expected alpha as auto, use or ignore, got {self.alpha!r}")
        if self.percentiles is not None:
            percentile_stretch(np.zeros((3, 0)), self.percentiles)  # raises on bad values
        if self.value_range is not None:
            range_stretch(self.value_range)


class Tile(NamedTuple):
    """Pixels of a part of a scene.

    Attributes:
        image: (H, W, 3), uint8, RGB.
        valid: (H, W), bool.
    """

    image: np.ndarray
    valid: np.ndarray


class SceneReader:
    """An open raster that gives 8-bit RGB. One thread at a time may read.

    Attributes:
        profile: Where the raster lies.
        stretch: How its values become 8 bits; None where they are 8 bits.
        validity: What says which pixels are valid.
        notes: What was decided about the file that a user might want to know.
        warnings: What was decided and may be wrong.
    """

    def __init__(self, dataset: DatasetReader, profile: RasterProfile, options: ReadOptions) -> None:
        self.profile = profile
        self.notes = [] if profile.bands.note is None else [profile.bands.note]
        self.warnings: list[str] = []
        self._dataset = dataset
        self._numbers = sorted(set(profile.bands.rgb))
        self._order = [self._numbers.index(number) for number in profile.bands.rgb]
        self._palette = _palette(dataset, profile.bands)
        with reading(profile.path):
            self.validity = self._decide_validity(options)
            self._note_statements()
            collar = self._find_collar()
            self.stretch = self._decide_stretch(options, collar)
        if collar is not None:
            has_percentiles = self.stretch is not None and options.value_range is None
            is_constant = self.stretch is not None and self.stretch.highs == self.stretch.lows
            self.notes.append(describe_collar(collar, is_left_out=has_percentiles and not is_constant))

    def note(self, message: str | None) -> None:
        """Keep a message for the user; None for none."""
        if message is not None:
            self.notes.append(message)

    def read(self, row: int, col: int, height: int, width: int) -> Tile:
        """Read a window; what lies below or to the right of the scene is black and not valid.

        Raises:
            RasterError: The file is damaged there.
        """
        image = np.zeros((height, width, 3), np.uint8)
        valid = np.zeros((height, width), bool)
        bottom, right = min(row + height, self.profile.height), min(col + width, self.profile.width)
        with reading(self.profile.path):
            for start in range(row, bottom, _CHUNK_ROWS):
                part = Window(col, start, right - col, min(_CHUNK_ROWS, bottom - start))
                place = slice(start - row, start - row + part.height), slice(0, part.width)
                self._read_into(image[place], valid[place], part)
        return Tile(image, valid)

    def read_reduced(self, size: tuple[int, int]) -> Tile:
        """The whole scene in fewer pixels (H, W): mean colours, and the validity at the centre of each."""
        whole = Window(0, 0, self.profile.width, self.profile.height)
        tile = Tile(np.zeros((*size, 3), np.uint8), np.zeros(size, bool))
        resampling = Resampling.average if self._palette is None and size != self.profile.size else Resampling.nearest
        with reading(self.profile.path):
            self._read_into(tile.image, tile.valid, whole, resampling)
        return tile

    def _read_into(
        self, image: np.ndarray, valid: np.ndarray, window: Window, resampling: Resampling = Resampling.nearest
    ) -> None:
        """Fill views of an image (H, W, 3) and of a validity (H, W)."""
        shape = len(self._numbers), *valid.shape
        values = self._dataset.read(self._numbers, window=window, out_shape=shape)
        valid[...] = self.validity.of(self._dataset, values, window)
        if resampling != Resampling.nearest:  # means of a nodata value and others say nothing about validity
            values = self._dataset.read(self._numbers, window=window, out_shape=shape, resampling=resampling)
        if self._palette is not None:
            entries = self._palette[values[0]]  # (H, W, 4)
            image[...] = entries[..., :3]
            valid &= entries[..., 3] > 0
            return
        values = values[self._order]  # (3, H, W)
        image[...] = (values if self.stretch is None else self.stretch.apply(values)).transpose(1, 2, 0)

    def _decide_validity(self, options: ReadOptions) -> Validity:
        """Find out what marks pixels without information; a band tagged as alpha has to look like a transparency."""
        alpha = self.profile.bands.alpha
        if options.alpha == "use" and alpha is None:
            raise RasterError(f"{self.profile.shown}: expected a transparency besides the bands in use, found none")
        if alpha is not None and (options.alpha == "ignore" or (options.alpha == "auto" and not self._is_mask(alpha))):
            alpha = None
        return validity_of(self._dataset, self._numbers, alpha, options.nodata)

    def _is_mask(self, alpha: int) -> bool:
        """Whether the values of a band are those of a transparency, with a note where that contradicts the file."""
        values = np.concatenate([part.values.ravel() for part in sample_pixels(self._dataset, [alpha])])
        is_tagged = self.profile.bands.alpha_is_tagged
        is_mask = looks_transparent(values, is_tagged=is_tagged)
        if is_tagged and not is_mask:
            self.warnings.append(
                f"band {alpha} is tagged as alpha but holds values {values.min()} to {values.max()} like a band of the "
                f"picture (near infrared?), so it is not used as a mask; if it is one, say --alpha use"
            )
        if is_mask and not is_tagged:
            self.notes.append(
                f"band {alpha} is 0 or 255 everywhere, so it is used as a mask; if not, say --alpha ignore"
            )
        return is_mask

    def _note_statements(self) -> None:
        """Note how much each statement about missing data marks, where the file makes several."""
        if sum((self.validity.alpha is not None, self.validity.mask is not None, bool(self.validity.nodata))) < 2:
            return
        empty: dict[str, int] = {}
        pixels = 0
        for part in sample_pixels(self._dataset, self._numbers):
            pixels += part.valid.size
            for name, valid in self.validity.statements(self._dataset, part.values, part.window).items():
                empty[name] = empty.get(name, 0) + int(np.count_nonzero(~valid))
        self.note(describe_statements({name: count / pixels for name, count in empty.items()}))

    def _find_collar(self) -> np.ndarray | None:
        """Find a constant value of the bands in use (N,) along the border; a palette's classes are constant anyway."""
        if self._palette is not None:
            return None
        return find_collar(*sample_border(self._dataset, self._numbers, self.validity))

    def _decide_stretch(self, options: ReadOptions, collar: np.ndarray | None) -> Stretch | None:
        """Decide one stretch for the whole scene, or none where values are 8 bits already."""
        is_8_bit = all(self._dataset.dtypes[number - 1] == "uint8" for number in self._numbers)
        if self._palette is not None or (is_8_bit and options.percentiles is None and options.value_range is None):
            return None
        sample = self._sample(collar)
        if options.value_range is not None:
            stretch = range_stretch(options.value_range)
        else:
            stretch = percentile_stretch(sample, options.percentiles or DEFAULT_PERCENTILES)
            warning = warn_of_stretch(sample, stretch)
            self.warnings += [] if warning is None else [warning]
            shown = ", ".join(f"{low:g} to {high:g}" for low, high in zip(stretch.lows, stretch.highs))
            self.notes.append(f"values become 8 bits by one stretch for the whole scene: {shown}")
        if options.value_range is not None or options.percentiles is not None:
            self.note(describe_clipping(sample, stretch))
        return stretch

    def _sample(self, collar: np.ndarray | None) -> np.ndarray:
        """Sample valid pixels (3, N) outside of the collar, or in it if there are no others."""
        parts = [part.values[:, part.valid] for part in sample_pixels(self._dataset, self._numbers, self.validity)]
        sample = np.concatenate(parts, axis=1)  # (bands in use, N)
        if collar is not None:
            inside = (sample != collar[:, None]).any(axis=0)
            sample = sample[:, inside] if inside.any() else sample
        return sample[self._order]


def _palette(dataset: DatasetReader, choice: BandChoice) -> np.ndarray | None:
    """Colours of the entries (N, 4), uint8: red, green, blue, opacity; None without a palette."""
    if not choice.has_palette:
        return None
    number = choice.rgb[0]
    table = np.zeros((2 ** (8 * np.dtype(dataset.dtypes[number - 1]).itemsize), 4), np.uint8)
    for entry, color in dataset.colormap(number).items():
        table[entry] = color
    return table
