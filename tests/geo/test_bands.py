from __future__ import annotations

import numpy as np
import pytest

from segearth_ov3.errors import RasterError
from segearth_ov3.geo.bands import Band, BandChoice, check_transparency, choose_bands


def bands(interpretations: str, dtype: str = "uint8") -> list[Band]:
    return [Band(dtype, name) for name in interpretations.split()]


@pytest.mark.parametrize(
    ("interpretations", "expected"),
    [
        ("red green blue", BandChoice((1, 2, 3), None)),
        ("blue green red", BandChoice((3, 2, 1), None)),
        ("gray undefined undefined", BandChoice((1, 2, 3), None)),
        ("undefined undefined undefined", BandChoice((1, 2, 3), None)),
        ("red green blue alpha", BandChoice((1, 2, 3), 4)),
        ("alpha blue green red", BandChoice((4, 3, 2), 1)),
        ("gray undefined undefined alpha", BandChoice((1, 2, 3), 4)),
    ],
)
def test_usable_layouts_are_ordered_by_interpretation(interpretations: str, expected: BandChoice) -> None:
    assert choose_bands(bands(interpretations), "scene.tif") == expected


@pytest.mark.parametrize(
    ("layout", "found", "advice"),
    [
        (bands("gray"), "1 band: 1 uint8 gray;", "gdal_translate -b 1 -b 1 -b 1 scene.tif"),
        (bands("gray", "uint16"), "1 uint16 gray", "gdal_translate -ot Byte -scale -b 1 -b 1 -b 1 scene.tif"),
        (bands("palette"), "1 uint8 palette", "gdal_translate -expand rgb scene.tif"),
        (bands("gray undefined"), "2 bands: 1 uint8 gray, 2 uint8 undefined", "gdal_translate -b R -b G -b B"),
        (bands("gray alpha"), "2 uint8 alpha", "gdal_translate -b R -b G -b B"),
        (bands("red green blue", "uint16"), "3 uint16 blue", "gdal_translate -ot Byte -scale -b 1 -b 2 -b 3"),
        (bands("blue green red alpha", "uint16"), "4 uint16 alpha", "-ot Byte -scale -b 3 -b 2 -b 1 scene.tif"),
        (bands("red green blue undefined"), "4 uint8 undefined", "gdal_translate -b 1 -b 2 -b 3 scene.tif"),
        (bands("red green blue nir"), "4 uint8 nir", "gdal_translate -b 1 -b 2 -b 3 scene.tif"),
        (bands("red green blue alpha alpha"), "5 bands", "gdal_translate -b 1 -b 2 -b 3 scene.tif"),
        (bands("gray undefined undefined undefined"), "4 bands", "gdal_translate -b R -b G -b B scene.tif"),
        (bands("cyan magenta yellow black"), "1 uint8 cyan", "gdal_translate -b R -b G -b B"),
        (bands("red red blue"), "2 uint8 red", "gdal_translate -b R -b G -b B"),
        ([], "0 bands", "gdal_translate"),
    ],
)
def test_other_layouts_name_the_bands_and_a_command(layout: list[Band], found: str, advice: str) -> None:
    with pytest.raises(RasterError) as caught:
        choose_bands(layout, "scene.tif")
    message = str(caught.value)
    assert message.startswith("scene.tif: expected 8-bit red, green and blue")
    assert found in message
    assert advice in message
    assert "\n" not in message


def test_one_band_of_another_type_makes_the_layout_unusable() -> None:
    layout = [Band("uint8", "red"), Band("uint8", "green"), Band("uint16", "blue")]
    with pytest.raises(RasterError, match="3 uint16 blue"):
        choose_bands(layout, "scene.tif")


def test_band_descriptions_are_listed() -> None:
    layout = [Band("uint16", "gray", name) for name in ("B2", "B3", "B4", "B8")]
    with pytest.raises(RasterError, match="3 uint16 gray 'B4'"):
        choose_bands(layout, "scene.tif")


def test_long_lists_of_bands_are_cut() -> None:
    with pytest.raises(RasterError, match=r"200 bands: .*8 float32 gray, and 192 more;"):
        choose_bands([Band("float32", "gray")] * 200, "scene.tif")


def test_paths_are_quoted_in_commands() -> None:
    with pytest.raises(RasterError, match=r"-b 1 'my scene.tif' rgb.tif"):
        choose_bands(bands("gray"), "my scene.tif")


CHOICE = BandChoice((1, 2, 3), 4)


@pytest.mark.parametrize(
    "alpha",
    [
        np.repeat(np.uint8([0, 255]), 50),
        np.full(100, 255, np.uint8),
        np.full(100, 128, np.uint8),
        np.repeat(np.uint8([0, 1]), 50),
        np.concatenate([np.zeros(40, np.uint8), np.arange(1, 6, dtype=np.uint8), np.full(55, 255, np.uint8)]),
    ],
    ids=["on and off", "all on", "constant", "0 and 1", "feathered"],
)
def test_transparencies_pass(alpha: np.ndarray) -> None:
    check_transparency(alpha, CHOICE, "scene.tif")


@pytest.mark.parametrize(
    "alpha",
    [
        np.arange(37, 205, dtype=np.uint8),
        np.concatenate([np.zeros(500, np.uint8), np.arange(37, 205, dtype=np.uint8)]),
        np.concatenate([np.arange(1, 21, dtype=np.uint8), np.full(80, 255, np.uint8)]),
    ],
    ids=["near infrared", "near infrared with black border", "one fifth varies"],
)
def test_bands_of_the_picture_tagged_as_alpha_are_refused(alpha: np.ndarray) -> None:
    with pytest.raises(RasterError, match=r"band 4 is tagged as alpha but holds values .* -b 1 -b 2 -b 3 scene.tif"):
        check_transparency(alpha, CHOICE, "scene.tif")


def test_transparency_without_a_visible_pixel_is_refused() -> None:
    with pytest.raises(RasterError, match="band 4 is tagged as alpha but is 0 everywhere"):
        check_transparency(np.zeros(9, np.uint8), CHOICE, "scene.tif")
