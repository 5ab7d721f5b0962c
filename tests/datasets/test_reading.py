"""Pictures and labels of every depth, as files that other programs write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from segearth_ov3.datasets import reading
from segearth_ov3.datasets.reading import read_colors, read_header, read_labels, read_picture
from segearth_ov3.errors import DatasetError
from segearth_ov3.geo.raster import read_rgb, without_georeference_warning
from segearth_ov3.geo.reader import ReadOptions

CLASSES = np.arange(30).reshape(5, 6) % 7


def write(path: Path, bands: np.ndarray, **options: object) -> Path:
    """Write bands (N, H, W) or (H, W) with GDAL, in their own data type."""
    bands = bands[None] if bands.ndim == 2 else bands
    count, height, width = bands.shape
    driver = {".tif": "GTiff", ".png": "PNG"}[path.suffix]
    shape = {"count": count, "height": height, "width": width, "dtype": bands.dtype}
    with without_georeference_warning(), rasterio.open(path, "w", driver=driver, **shape, **options) as raster:
        raster.write(bands)
    return path


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_labels_of_any_depth_keep_their_integers(tmp_path, dtype):
    values = CLASSES + (1000 if np.dtype(dtype).itemsize > 1 else 0)
    stored = read_labels(write(tmp_path / "label.tif", values.astype(dtype)))
    assert stored.dtype.kind in "iu"
    assert np.array_equal(stored, values)


def test_negative_labels_keep_their_sign(tmp_path):
    assert read_labels(write(tmp_path / "label.tif", (CLASSES - 3).astype("int16"))).min() == -3


def test_labels_in_16_bit_png_keep_their_values(tmp_path):
    values = (CLASSES + 256).astype("uint16")
    assert np.array_equal(read_labels(write(tmp_path / "label.png", values)), values)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_labels_of_few_bits_are_not_scaled(tmp_path, bits):
    values = (CLASSES % 2**bits).astype(np.uint8)
    image = Image.fromarray(values.astype(bool)) if bits == 1 else Image.fromarray(values)
    image.save(tmp_path / "label.png", bits=bits)
    assert np.array_equal(read_labels(tmp_path / "label.png"), values)


def test_labels_with_a_palette_are_its_indices(tmp_path):
    image = Image.fromarray(CLASSES.astype(np.uint8), mode="P")
    image.putpalette([7 * value for value in range(3 * 7)])
    image.save(tmp_path / "label.png")
    assert np.array_equal(read_labels(tmp_path / "label.png"), CLASSES)
    assert read_colors(tmp_path / "label.png")[0, 1].tolist() == [21, 28, 35]


@pytest.mark.parametrize(("value", "shown"), [(0.5, r"\[0\.5\]"), (np.nan, r"\[nan\]"), (1e30, r"\[1\..*e\+30\]")])
def test_labels_that_are_no_whole_numbers_are_named(tmp_path, value, shown):
    values = CLASSES.astype("float32")
    values[2, 2] = value
    with pytest.raises(DatasetError, match=rf"label\.tif: expected whole numbers as labels, got also {shown}"):
        read_labels(write(tmp_path / "label.tif", values))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_masks_stored_as_equal_channels_are_one_channel(tmp_path, mode):
    mask = (CLASSES > 3).astype(np.uint8) * 255
    Image.fromarray(mask).convert(mode).save(tmp_path / "mask.png")
    assert np.array_equal(read_labels(tmp_path / "mask.png"), mask)


def test_labels_of_colours_are_refused_with_both_remedies(tmp_path):
    colors = np.zeros((4, 5, 3), dtype=np.uint8)
    colors[0, 0] = 255, 0, 0
    Image.fromarray(colors).save(tmp_path / "colours.png")
    with pytest.raises(DatasetError, match=r"colours\.png: expected one channel .*--colors FILE.*prepare\.py"):
        read_labels(tmp_path / "colours.png")


def test_picture_of_16_bits_is_stretched_as_a_scene(tmp_path):
    bands = np.random.default_rng(0).integers(0, 4096, (4, 40, 50)).astype("uint16")
    path = write(tmp_path / "scene.tif", bands, photometric="RGB")
    picture = read_picture(path)
    assert np.array_equal(picture, read_rgb(path).image)
    assert 100 < picture.mean() < 155


def test_16_bit_grey_picture_is_stretched_and_repeated(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (40, 50)).astype("uint16")
    picture = read_picture(write(tmp_path / "grey.png", values))
    assert (picture == picture[..., :1]).all()
    assert 100 < picture.mean() < 155


def test_16_bit_colour_png_keeps_its_contrast(tmp_path):
    """Pillow takes the high bytes, so 12 bits become values 0 to 15."""
    values = np.random.default_rng(0).integers(0, 4096, (3, 40, 50)).astype("uint16")
    path = write(tmp_path / "rgb.png", values)
    with Image.open(path) as image:
        assert np.asarray(image.convert("RGB")).max() == 15
    assert read_picture(path).max() == 255


def test_8_bit_picture_is_what_pillow_decodes(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for name in ("a.jpg", "a.png", "a.tif"):
        Image.fromarray(pixels).save(tmp_path / name)
        with Image.open(tmp_path / name) as image:
            assert np.array_equal(read_picture(tmp_path / name), np.asarray(image))


def test_8_bit_picture_of_many_bands_is_read_by_the_bands_given(tmp_path):
    bands = np.random.default_rng(0).integers(0, 256, (6, 40, 50), dtype=np.uint8)
    path = write(tmp_path / "many.tif", bands)
    assert np.array_equal(read_picture(path, ReadOptions(bands=(4, 3, 2))), np.moveaxis(bands[[3, 2, 1]], 0, -1))
    with pytest.raises(DatasetError, match=r"many\.tif: cannot tell red, green and blue.*LoadPicture"):
        read_picture(path)


def test_picture_beyond_pillows_limit_is_read(tmp_path):
    Image.new("L", (14000, 14000)).save(tmp_path / "large.png")
    limit = Image.MAX_IMAGE_PIXELS
    assert read_header(tmp_path / "large.png").size == (14000, 14000)
    assert read_labels(tmp_path / "large.png").shape == (14000, 14000)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_picture_of_too_many_pixels_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_PIXELS", 1000)
    Image.new("L", (40, 26)).save(tmp_path / "large.png")
    with pytest.raises(DatasetError, match=r"large\.png: 26 x 40 pixels are too many to read at once \(limit 1000\)"):
        read_picture(tmp_path / "large.png")


@pytest.mark.parametrize(
    ("content", "cause"), [(b"", "the file is empty"), (b"no picture", "not an image"), (None, "No such file")]
)
@pytest.mark.parametrize("read", [read_picture, read_labels, read_colors, read_header])
def test_file_that_cannot_be_read_is_named_with_its_cause(tmp_path, read, content, cause):
    if content is not None:
        (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(DatasetError, match=rf"cannot read .*x\.png: {cause}") as failure:
        read(tmp_path / "x.png")
    assert "<" not in str(failure.value)
