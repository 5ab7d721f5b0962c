"""Corrupted images for measuring robustness: four kinds in five strengths, seeded by the image.

An image x is 8-bit, and so is the result; c is the strength of severities 1 to 5, and round goes to the nearest and is
clipped to 0 to 255.

    noise   round(x + 255 c n)                n standard normal, drawn for each pixel and channel
            c = 0.08, 0.12, 0.18, 0.26, 0.38
    blur    round(G_c * x)                    Gaussian of standard deviation c pixels, cut off at 4 c, edges reflected
            c = 1, 2, 3, 4, 6
    jpeg    stored as JPEG (4:2:0) and read   quality c
            c = 25, 18, 15, 10, 7
    haze    round(x t + A (1 - t))            light scattered into the view: t = exp(-c d), airlight A = 230, and
            c = 0.2, 0.4, 0.7, 1.1, 1.6       optical depth d drawn, 0.5 to 1.5, linear between 5 x 5 nodes

Strengths of noise, blur and JPEG are those of the common corruptions of Hendrycks and Dietterich (ICLR 2019); haze is
the scattering model of Koschmieder (1924). What is drawn depends on the image's name alone: all severities share their
noise or depth, so that a higher one is further from the image. Blur and JPEG know no unit but the pixel: they mean more
at a coarser resolution.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ..errors import OptionError, ShapeError
from ..registry import lookup

Rgb8 = NDArray[np.uint8]

AIRLIGHT = 230
_DEPTH_NODES = 5  # per side of the image


def add_noise(image: Rgb8, strength: float, rng: np.random.Generator) -> Rgb8:
    """Add normal noise of standard deviation 255 · strength; arguments as of `Corruption.apply`."""
    return _to_uint8(image + np.float32(255 * strength) * rng.standard_normal(image.shape, dtype=np.float32))


def blur(image: Rgb8, strength: float, rng: np.random.Generator) -> Rgb8:
    """Blur by a Gaussian of standard deviation `strength` pixels; nothing is drawn."""
    return _to_uint8(ndimage.gaussian_filter(image.astype(np.float32), (strength, strength, 0), mode="reflect"))


def compress(image: Rgb8, strength: int, rng: np.random.Generator) -> Rgb8:
    """Store as JPEG of quality `strength` and read it again; nothing is drawn."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "JPEG", quality=strength, subsampling="4:2:0")
    with Image.open(file) as stored:
        return np.asarray(stored)


def add_haze(image: Rgb8, strength: float, rng: np.random.Generator) -> Rgb8:
    """Veil by scattered light, the more the larger the optical depth strength · d."""
    nodes = rng.uniform(0.5, 1.5, (_DEPTH_NODES, _DEPTH_NODES)).astype(np.float32)
    places = [np.linspace(0, _DEPTH_NODES - 1, length, dtype=np.float32) for length in image.shape[:2]]
    depth = ndimage.map_coordinates(nodes, np.meshgrid(*places, indexing="ij"), order=1)  # (H0, W0)
    transmission = np.exp(-np.float32(strength) * depth)[..., None]
    return _to_uint8(image * transmission + AIRLIGHT * (1 - transmission))


CORRUPTIONS: dict[str, tuple[Callable[..., Rgb8], tuple[float, ...]]] = {
    "noise": (add_noise, (0.08, 0.12, 0.18, 0.26, 0.38)),
    "blur": (blur, (1, 2, 3, 4, 6)),
    "jpeg": (compress, (25, 18, 15, 10, 7)),
    "haze": (add_haze, (0.2, 0.4, 0.7, 1.1, 1.6)),
}


@dataclasses.dataclass(frozen=True)
class Corruption:
    """One kind of corruption in one strength.

    Args:
        kind: Key of `CORRUPTIONS`.
        severity: 1 (weak) to 5 (strong).

    Raises:
        UnknownNameError: There is no such kind.
        OptionError: Another severity.

    Example:
        >>> hazy = Corruption.parse("haze:3").apply(image, name="a/b.png")
    """

    kind: str
    severity: int

    def __post_init__(self) -> None:
        lookup(CORRUPTIONS, self.kind, "corruption")
        if self.severity not in (1, 2, 3, 4, 5):
            raise OptionError(f"expected a severity of {self.kind} from 1 to 5, got {self.severity!r}")

    @classmethod
    def parse(cls, text: str) -> Corruption:
        """From "kind:severity"."""
        kind, colon, severity = text.partition(":")
        if not colon or not severity.isdecimal():
            raise OptionError(f"expected a corruption as kind:severity, such as noise:3, got {text!r}")
        return cls(kind, int(severity))

    def apply(self, image: Rgb8, name: str) -> Rgb8:
        """Corrupt an image.

        Args:
            image: RGB (H0, W0, 3), uint8; not changed.
            name: Of the image, with its folders where names repeat; seeds what is drawn, the same on all machines.

        Returns:
            A new image of the same shape, uint8.

        Raises:
            ShapeError: Not (H0, W0, 3).
            OptionError: Not uint8.
        """
        if image.ndim != 3 or image.shape[2] != 3:
            raise ShapeError(f"expected an RGB image (H0, W0, 3), got {image.shape}")
        if image.dtype != np.uint8:
            raise OptionError(f"expected an 8-bit image (uint8), got {image.dtype}")
        function, strengths = CORRUPTIONS[self.kind]
        seed = int.from_bytes(hashlib.sha256(f"{self.kind} {name}".encode()).digest()[:8], "little")
        return function(image, strengths[self.severity - 1], np.random.default_rng(seed))

    def __str__(self) -> str:
        return f"{self.kind}:{self.severity}"


def _to_uint8(image: NDArray[np.float32]) -> Rgb8:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
