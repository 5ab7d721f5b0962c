from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC
from rasterio.transform import Affine

from segearth_ov3.errors import RasterError
from segearth_ov3.geo.raster import open_scene, read_profile, read_rgb

RGBA = ("red", "green", "blue", "alpha")


def test_image_is_height_width_rgb(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    image = read_rgb(write_raster(rgb)).image
    assert image.dtype == np.uint8
    assert np.array_equal(image, rgb.transpose(1, 2, 0))


def test_bands_are_ordered_by_interpretation(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    path = write_raster(rgb, interpretation=("blue", "red", "green"), photometric="minisblack")
    assert np.array_equal(read_rgb(path).image, rgb[[1, 2, 0]].transpose(1, 2, 0))


def test_profile_says_where_the_picture_lies(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    rotated = Affine(0.4, 0.3, 356000, 0.3, -0.4, 5645000)
    profile = read_rgb(write_raster(rgb, transform=rotated, nodata=0)).profile
    assert profile.crs == CRS.from_epsg(25832)
    assert profile.transform == rotated
    assert profile.size == (6, 8)
    assert profile.nodata == 0
    assert profile.gcps == ()


def test_profile_is_the_same_without_reading_the_picture(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    path = write_raster(rgb)
    assert read_profile(path) == read_rgb(path).profile


def test_name_for_messages_has_no_secret(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    profile = dataclasses.replace(read_profile(write_raster(rgb)), path="https://host/town.tif?sig=SECRET")
    assert profile.shown == "https://host/town.tif"


def test_control_points_are_read(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    gcps = [GroundControlPoint(row, col, 30 + col, 10 - row) for row, col in ((0, 0), (0, 8), (6, 0))]
    profile = read_rgb(write_raster(rgb, gcps=gcps, crs="EPSG:4326", transform=None)).profile
    assert [(gcp.row, gcp.col, gcp.x, gcp.y) for gcp in profile.gcps] == [(0, 0, 30, 10), (0, 8, 38, 10), (6, 0, 30, 4)]
    assert profile.gcp_crs == CRS.from_epsg(4326)
    assert profile.transform is None


def test_rational_polynomials_are_read(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    ratio = [1.0] + [0.0] * 19
    rpcs = RPC(100, 500, 47.5, 0.1, ratio, ratio, 3, 3, 8.5, 0.1, ratio, ratio, 4, 4)
    profile = read_rgb(write_raster(rgb, crs=None, transform=None, rpcs=rpcs)).profile
    assert profile.rpcs is not None
    assert (profile.rpcs.lat_off, profile.rpcs.line_scale, profile.rpcs.samp_num_coeff) == (47.5, 3, ratio)


def test_everything_is_valid_without_nodata_and_mask(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    assert read_rgb(write_raster(rgb)).valid is None


def test_nodata_makes_pixels_invalid_only_where_all_bands_have_it(
    write_raster: Callable[..., Path], rgb: np.ndarray
) -> None:
    rgb[:, 0, 0] = 0
    rgb[:2, 0, 1] = 0
    rgb[2, 5, 7] = 0
    valid = read_rgb(write_raster(rgb, nodata=0)).valid
    assert valid is not None
    assert np.argwhere(~valid).tolist() == [[0, 0]]


@pytest.mark.parametrize("internal", [True, False], ids=["internal mask", "msk file"])
def test_masks_make_pixels_invalid(write_raster: Callable[..., Path], rgb: np.ndarray, internal: bool) -> None:
    path = write_raster(rgb)
    mask = np.full((6, 8), 255, np.uint8)
    mask[2, 3:5] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    assert path.with_name("scene.tif.msk").exists() is not internal
    valid = read_rgb(path).valid
    assert valid is not None
    assert np.argwhere(~valid).tolist() == [[2, 3], [2, 4]]


def test_pixels_are_valid_only_where_mask_and_nodata_agree(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    rgb[:, 1, 1] = 255
    path = write_raster(rgb, nodata=255)
    mask = np.full((6, 8), 255, np.uint8)
    mask[0, 0] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    valid = read_rgb(path).valid
    assert valid is not None
    assert np.argwhere(~valid).tolist() == [[0, 0], [1, 1]]


def test_transparent_pixels_are_invalid(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    alpha = np.full((1, 6, 8), 255, np.uint8)
    alpha[0, 5] = 0
    alpha[0, 4, 4] = 100
    scene = read_rgb(write_raster(np.concatenate([rgb, alpha]), interpretation=RGBA))
    assert scene.valid is not None
    assert np.argwhere(~scene.valid).tolist() == [[5, col] for col in range(8)]
    assert np.array_equal(scene.image, rgb.transpose(1, 2, 0))


def test_opaque_alpha_does_not_silence_nodata_and_this_is_noted(
    write_raster: Callable[..., Path], rgb: np.ndarray
) -> None:
    rgb[:, :, :2] = 0
    path = write_raster(np.concatenate([rgb, np.full((1, 6, 8), 255, np.uint8)]), interpretation=RGBA, nodata=0)
    with open_scene(path) as scene:
        assert np.array_equal(scene.read(0, 0, 6, 8).valid, rgb[0] > 0)
        (note,) = scene.notes
    assert note.startswith(
        "pixels have no data where any of these says so: alpha (band 4) (marks none), nodata 0 (marks 25.0%)"
    )


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_pictures_without_georeferencing_are_read(tmp_path: Path, rgb: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    Image.fromarray(rgb.transpose(1, 2, 0)).save(path)
    scene = read_rgb(path)
    assert scene.image.shape == (6, 8, 3)
    assert (scene.profile.crs, scene.profile.transform, scene.profile.gcps) == (None, None, ())


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
@pytest.mark.parametrize("kept", [0.0, 0.4, 0.95])
def test_files_cut_short_are_refused_in_one_line(
    write_raster: Callable[..., Path], tmp_path: Path, suffix: str, kept: float
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 300, 300), dtype=np.uint8)
    path = tmp_path / f"scene{suffix}"
    if suffix == ".tif":
        write_raster(image, compress="deflate")
    else:
        Image.fromarray(image.transpose(1, 2, 0)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(RasterError, match=f"cannot read .*scene{suffix}: .*copied or downloaded") as caught:
        read_rgb(path)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_files_that_are_no_image_are_refused(tmp_path: Path) -> None:
    (tmp_path / "scene.tif").write_text("this is not a raster")
    with pytest.raises(RasterError, match="not recognized as being in a supported file format; expected a complete"):
        read_rgb(tmp_path / "scene.tif")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match=r"cannot read .*nowhere\.tif: no such file"):
        read_rgb(tmp_path / "nowhere.tif")


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="expected an image file, this is a folder"):
        read_rgb(tmp_path)


# what each of the real samples gives: the share of pixels that are not valid, or what the refusal says
REAL_SCENES: dict[str, float | str] = {
    "L7_ETMs.tif": "6 bands: 1 uint8 gray, 2 uint8 undefined.*--bands R,G,B",
    "RGBA.uint16.tif": 0.5114,
    "cog_gcps.tif": "1 band: 1 uint16 gray; .*--bands 1,1,1",
    "cog_nodata_nan.tif": "1 band: 1 float32 gray 'Gamma0_VV'; .*--bands 1,1,1",
    "cogeo.tif": 0.0,
    "colorado_extmask.tif": 0.0308,
    "geomatrix_rotated.tif": "1 band: 1 uint8 gray; .*--bands 1,1,1",
    "landsat8_7band_uint16.tif": 0.0,
    "landsat8_b2_60m.tif": "1 band: 1 uint16 gray; .*--bands 1,1,1",
    "landsat_ard_int16_albers.tif": 0.0,
    "landsat_rgb_uint16.tif": 0.3020,
    "naip_nir_tagged_alpha_1.tif": 0.0,
    "neon_OSBS_nodata255.tif": 0.0029,
    "nlcd_palette_epsg5070.tif": 0.0,
    "oem_koeln_50.tif": 0.0,
    "pix4d_alpha_nodata.tif": 0.1244,
    "rgb_deflate.tif": 0.3254,
    "rotated_no_crs.tif": "1 band: 1 uint8 gray; .*--bands 1,1,1",
    "sentinel2_6band_uint16_north.tif": "6 bands: 1 uint16 gray 'B05'.*--bands R,G,B",
    "world.rgb.tif": 0.0,
    "zurich_lv95_1091-322.tif": 0.0,
}


@pytest.mark.parametrize("name", REAL_SCENES)
def test_real_scenes_are_read_or_refused_as_expected(shared_data: Path, name: str) -> None:
    path, expected = shared_data / "geotiff" / name, REAL_SCENES[name]
    if isinstance(expected, str):
        with pytest.raises(RasterError, match=expected):
            read_rgb(path)
        return
    scene = read_rgb(path)
    invalid = 0.0 if scene.valid is None else 1 - scene.valid.mean()
    assert invalid == pytest.approx(expected, abs=5e-5)


def test_near_infrared_of_the_real_sample_is_no_mask_and_this_is_told(shared_data: Path) -> None:
    with open_scene(shared_data / "geotiff" / "naip_nir_tagged_alpha_1.tif") as scene:
        assert scene.validity.alpha is None
        assert "band 4 is tagged as alpha but holds values 37 to 204" in scene.warnings[0]


def test_untagged_transparency_of_the_drone_image_is_a_mask(shared_data: Path) -> None:
    path = shared_data / "oam_kampala" / "geotiff" / "image_309606_261636.tif"
    with rasterio.open(path) as raster:
        expected = raster.read(4) > 0
    scene = read_rgb(path)
    assert scene.valid is not None
    assert np.array_equal(scene.valid, expected)


def test_table_of_real_scenes_is_complete(shared_data: Path) -> None:
    assert {path.name for path in (shared_data / "geotiff").glob("*.tif")} == set(REAL_SCENES)


def test_external_mask_is_found_only_beside_the_file(shared_data: Path, tmp_path: Path) -> None:
    copy = shutil.copyfile(shared_data / "geotiff" / "colorado_extmask.tif", tmp_path / "alone.tif")
    assert read_rgb(copy).valid is None
