"""Rasters for the tests: a few pixels, real coordinate reference systems, fixed seed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

NORTH_UP = Affine(0.5, 0, 356000.0, 0, -0.5, 5645000.0)  # half a metre, in UTM 32 N


@pytest.fixture
def write_raster(tmp_path: Path) -> Callable[..., Path]:
    """Writes a GeoTIFF of bands (N, H0, W0) and returns its path; a colour interpretation per band if given."""

    def write(
        bands: np.ndarray, name: str = "scene.tif", *, interpretation: Sequence[str] | None = None, **profile: Any
    ) -> Path:
        path = tmp_path / name
        options = {"driver": "GTiff", "crs": "EPSG:25832", "transform": NORTH_UP, **profile}
        count, height, width = bands.shape
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(
                path, "w", count=count, height=height, width=width, dtype=bands.dtype, **options
            ) as dataset:
                if interpretation is not None:
                    dataset.colorinterp = [ColorInterp[entry] for entry in interpretation]
                dataset.write(bands)
        return path

    return write


@pytest.fixture
def rgb() -> np.ndarray:
    """Three bands (3, 6, 8), uint8, every value different from 0 and 255."""
    return np.random.default_rng(7).integers(1, 255, (3, 6, 8), dtype=np.uint8)
