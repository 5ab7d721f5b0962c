"""Every raster gives labels, or an error whose advice leads to labels: real samples, and generated ones like them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from segearth_ov3.cli.main import main
from segearth_ov3.errors import RasterError, RasterWarning
from segearth_ov3.geo.options import FunctionPredictor
from segearth_ov3.geo.reader import ReadOptions
from segearth_ov3.geo.scene import segment_scene

# colour interpretation, data type and more of rasters like the real ones
LAYOUTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "six bands of 8 bits": ("gray undefined undefined undefined undefined undefined", "uint8", {}),
    "blue first with an 8-bit alpha in 16 bits": ("blue green red alpha", "uint16", {}),
    "one band of 16 bits": ("gray", "uint16", {}),
    "one band of floats with NaN": ("gray", "float32", {"nodata": 0}),
    "near infrared tagged as alpha": ("red green blue alpha", "uint8", {}),
    "signed with a nodata value": ("gray undefined undefined", "int16", {"nodata": -9999}),
    "no coordinate reference system": ("gray", "uint8", {"crs": None}),
    "local coordinates": ("red green blue", "uint8", {"crs": 'LOCAL_CS["Local",UNIT["metre",1]]'}),
    "complex": ("gray", "complex64", {}),
    "three complex bands": ("gray undefined undefined", "complex64", {}),
    "two bands": ("gray undefined", "float32", {}),
    "doubles": ("gray undefined undefined", "float64", {}),
}
REAL = [
    "L7_ETMs",
    "RGBA.uint16",
    "cog_gcps",
    "cog_nodata_nan",
    "cogeo",
    "colorado_extmask",
    "geomatrix_rotated",
    "landsat8_7band_uint16",
    "landsat8_b2_60m",
    "landsat_ard_int16_albers",
    "landsat_rgb_uint16",
    "naip_nir_tagged_alpha_1",
    "neon_OSBS_nodata255",
    "nlcd_palette_epsg5070",
    "oem_koeln_50",
    "pix4d_alpha_nodata",
    "rgb_deflate",
    "rotated_no_crs",
    "sentinel2_6band_uint16_north",
    "world.rgb",
    "zurich_lv95_1091-322",
]


def advised(error: str, source: str) -> tuple[str, ReadOptions]:
    """The name and the options that a message advises."""
    renamed = re.search(r'give the image as "([^"]+)"', error)
    bands = re.search(r"--bands ([\dRGB]),([\dRGB]),([\dRGB])", error)
    numbers = None if bands is None else tuple(2 if part in "RGB" else int(part) for part in bands.groups())
    return source if renamed is None else renamed[1], ReadOptions(bands=numbers)  # type: ignore[arg-type]


def labels_of(source: str, target: Path) -> np.ndarray:
    """Labels of a raster, with the options that the first error advises if there is one."""

    def brightness(images: np.ndarray) -> np.ndarray:
        bright = images.mean(axis=-1) / 255
        return np.stack([bright, 1 - bright], axis=1)

    predictor, classes = FunctionPredictor(brightness, input_size=256), ("bright", "dark")
    options = ReadOptions()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RasterWarning)
        try:
            segment_scene(source, target, predictor, classes=classes)
        except RasterError as error:
            source, options = advised(str(error), source)
            segment_scene(source, target, predictor, classes=classes, reading=options)
    with rasterio.open(target) as raster:
        return raster.read(1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_advice_of_one_error_leads_to_labels(write_raster: Callable[..., Path], tmp_path: Path, layout: str) -> None:
    interpretation, dtype, profile = LAYOUTS[layout]
    names = interpretation.split()
    values = np.random.default_rng(0).integers(1, 250, (len(names), 30, 40))
    bands = (values + 1j * values if dtype == "complex64" else values).astype(dtype)
    path = write_raster(bands, interpretation=names, **profile)
    assert set(np.unique(labels_of(str(path), tmp_path / "labels.tif"))) >= {0, 1}


@pytest.mark.parametrize("name", REAL)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_advice_leads_to_labels_of_every_real_sample(shared_data: Path, tmp_path: Path, name: str) -> None:
    labels = labels_of(str(shared_data / "geotiff" / f"{name}.tif"), tmp_path / "labels.tif")
    assert (labels < 2).mean() > 0.4


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_command_labels_every_real_sample_with_the_demo_model(shared_data: Path, tmp_path: Path, name: str) -> None:
    source, target = str(shared_data / "geotiff" / f"{name}.tif"), str(tmp_path / "labels.tif")
    arguments = ["segment", source, target, "--checkpoint", "demo", "--quiet"]
    arguments += ["--classes", "building; road; water; tree; grass", "--background", "none"]
    result = CliRunner().invoke(main, arguments)
    if result.exit_code:
        _, options = advised(result.output, source)
        assert options.bands is not None
        result = CliRunner().invoke(main, [*arguments, "--bands", ",".join(map(str, options.bands))])
    assert result.exit_code == 0, result.output
    assert "hectares" in result.output


def test_table_of_real_samples_is_complete(shared_data: Path) -> None:
    assert {path.stem for path in (shared_data / "geotiff").glob("*.tif")} == set(REAL)
