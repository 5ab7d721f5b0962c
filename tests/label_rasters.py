"""Label arrays for tests: how to draw them, cut them into blocks, and polygonize them without our code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import shapely
import shapely.geometry
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterio.features import shapes
from rasterio.transform import Affine
from scipy.ndimage import gaussian_filter

from segearth_ov3.geo.coverage import FILL
from segearth_ov3.geo.trace import Block, Method, Polygons, trace_polygons


@st.composite
def label_arrays(draw: st.DrawFn, side: int = 9) -> tuple[np.ndarray, int]:
    """Labels (H0, W0), int32, of up to four values, and a height of blocks."""
    shape = draw(st.tuples(st.integers(1, side), st.integers(1, side)))
    labels = draw(arrays.arrays(np.int32, shape, elements=st.integers(0, draw(st.integers(1, 3)))))
    scale = draw(st.sampled_from((1, 1, 3)))
    labels = np.kron(labels, np.ones((scale, scale), dtype=np.int32))
    return labels, draw(st.integers(1, len(labels)))


def blobs(size: tuple[int, int], classes: int = 4, seed: int = 0) -> np.ndarray:
    """Labels (H0, W0), uint8, that form ragged areas of all sizes, as segmentations do."""
    noise = np.random.default_rng(seed).standard_normal((classes, *size))
    smooth = np.stack([gaussian_filter(layer, 4) for layer in noise])
    return (smooth + 0.02 * noise).argmax(axis=0).astype(np.uint8)


def cut(labels: np.ndarray, rows: int, weights: Sequence[np.ndarray] = ()) -> Iterator[Block]:
    """Blocks of some rows."""
    for start in range(0, len(labels), rows):
        part = slice(start, start + rows)
        yield Block(labels[part], [weight[part] for weight in weights], is_last=start + rows >= len(labels))


def trace(labels: np.ndarray, rows: int, method: Method, weights: Sequence[np.ndarray] = ()) -> Polygons:
    """All polygons of an array, in blocks of some rows."""
    found = list(
        trace_polygons(
            cut(labels, rows, weights),
            labels.shape[1],
            len(weights),
            lambda totals: totals.values != FILL,
            method,
        )
    )
    totals = [batch.totals for batch in found]
    joined = type(totals[0])(*(np.concatenate(values, axis=-1) for values in zip(*totals)))
    return Polygons(np.concatenate([batch.geometry for batch in found]), joined)


def lattice(col: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows as coordinates."""
    return col, row


def gdal_polygons(labels: np.ndarray, transform: Affine | None = None) -> list[tuple[int, str]]:
    """Values and outlines as GDAL finds them, as `described` writes them."""
    found = list(shapes(labels, connectivity=4, transform=transform or Affine.identity()))
    return described([value for _, value in found], [shapely.geometry.shape(outline) for outline, _ in found])


def described(
    values: Sequence[int] | np.ndarray, polygons: Sequence[shapely.Polygon] | np.ndarray
) -> list[tuple[int, str]]:
    """Polygons in a form and an order that only depend on which they are and which vertices they have."""
    texts = shapely.to_wkt(shapely.normalize(np.asarray(polygons)), rounding_precision=6)
    return sorted(zip([int(value) for value in values], texts.tolist()))
