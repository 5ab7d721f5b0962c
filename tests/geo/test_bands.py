from __future__ import annotations

import numpy as np
import pytest

from segearth_ov3.errors import RasterError
from segearth_ov3.geo.bands import Band, BandChoice, choose_bands, looks_transparent

SENTINEL2 = "B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B11 B12"
OLI = "B1 B2 B3 B4 B5 B6 B7"


def bands(interpretations: str, dtype: str = "uint8") -> list[Band]:
    return [Band(dtype, name) for name in interpretations.split()]


def described(names: str, dtype: str = "uint16") -> list[Band]:
    return [Band(dtype, "gray" if n == 0 else "undefined", name) for n, name in enumerate(names.split())]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    ("interpretations", "expected"),
    [
        ("red green blue", BandChoice((1, 2, 3))),
        ("blue green red", BandChoice((3, 2, 1))),
        ("gray undefined undefined", BandChoice((1, 2, 3))),
        ("undefined undefined undefined", BandChoice((1, 2, 3))),
        ("red green blue alpha", BandChoice((1, 2, 3), 4)),
        ("alpha blue green red", BandChoice((4, 3, 2), 1)),
        ("gray undefined undefined alpha", BandChoice((1, 2, 3), 4)),
        ("red green blue undefined", BandChoice((1, 2, 3), 4, alpha_is_tagged=False)),
        ("red green blue nir", BandChoice((1, 2, 3))),
        ("red green blue undefined undefined", BandChoice((1, 2, 3))),
        ("red green blue alpha alpha", BandChoice((1, 2, 3))),
    ],
)
def test_usable_layouts_are_ordered_by_interpretation(interpretations: str, expected: BandChoice, dtype: str) -> None:
    assert choose_bands(bands(interpretations, dtype), "scene.tif") == expected


def test_palette_is_one_band_for_all_three() -> None:
    assert choose_bands(bands("palette"), "scene.tif") == BandChoice((1, 1, 1), has_palette=True)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (described("blue green red nir"), (3, 2, 1)),
        (described("Blue Green Red NIR", "float32"), (3, 2, 1)),
        (described("coastal_blue blue green_i green yellow red rededge nir"), (6, 4, 2)),
        (described("nir r g b"), (2, 3, 4)),
        (described(SENTINEL2), (4, 3, 2)),
        (described(SENTINEL2, "uint8"), (4, 3, 2)),
        (described("B2 B3 B4 B8 B11", "float32"), (3, 2, 1)),
        (described(OLI), (4, 3, 2)),
        ([Band("uint16", "gray", f"B{n}, central wavelength") for n in (4, 3, 2, 8)], (1, 2, 3)),
        ([Band("uint8", "undefined", f"Band {n}") for n in (1, 2, 3)], (1, 2, 3)),
    ],
)
def test_names_tell_the_bands(layout: list[Band], expected: tuple[int, int, int]) -> None:
    assert choose_bands(layout, "scene.tif").rgb == expected


def test_choice_by_names_is_noted() -> None:
    choice = choose_bands(described("blue green red nir"), "scene.tif")
    assert choice.note == "bands by their names: red 3 'red', green 2 'green', blue 1 'blue'"


@pytest.mark.parametrize(
    ("layout", "found"),
    [
        (bands("gray undefined"), "2 bands: 1 uint8 gray, 2 uint8 undefined"),
        (bands("gray undefined undefined undefined"), "4 bands"),
        (bands("cyan magenta yellow black"), "1 uint8 cyan"),
        (bands("red red blue"), "2 uint8 red"),
        (described("B05 B06 B07 B8A B11 B12"), "1 uint16 gray 'B05'"),
        (described(OLI, "uint8"), "4 uint8 undefined 'B4'"),
        (described("SR_B1 SR_B2 SR_B3 SR_B4 SR_B5 SR_B7"), "'SR_B4'"),
        (described("B8 B4 B3"), "1 uint16 gray 'B8'"),
        (described("blue blue red nir"), "4 bands"),
        ([], "0 bands"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bands_that_cannot_be_told_apart_are_listed(layout: list[Band], found: str) -> None:
    with pytest.raises(RasterError) as caught:
        choose_bands(layout, "scene.tif")
    message = str(caught.value)
    assert message.startswith("scene.tif: cannot tell red, green and blue among ")
    assert found in message
    assert message.endswith("choose three by their numbers: --bands R,G,B")
    assert "\n" not in message


@pytest.mark.parametrize(("layout", "number"), [("gray", 1), ("gray alpha", 1), ("alpha gray", 2)])
def test_single_band_is_repeated_only_if_wanted(layout: str, number: int) -> None:
    with pytest.raises(RasterError, match=f"grey photograph, repeat it: --bands {number},{number},{number}"):
        choose_bands(bands(layout), "scene.tif")
    assert choose_bands(bands(layout), "scene.tif", (number,) * 3).rgb == (number,) * 3


def test_long_lists_of_bands_are_cut() -> None:
    with pytest.raises(RasterError, match=r"200 bands: .*12 float32 gray, and 188 more;"):
        choose_bands([Band("float32", "gray")] * 200, "scene.tif")


def test_wanted_bands_win_over_interpretation() -> None:
    assert choose_bands(bands("red green blue alpha"), "scene.tif", (3, 2, 1)) == BandChoice((3, 2, 1), 4)


def test_wanted_band_is_no_transparency() -> None:
    assert choose_bands(bands("red green blue alpha"), "scene.tif", (4, 1, 2)).alpha is None


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ((1, 2, 5), "scene.tif: there is no band 5, found 4 bands"),
        ((0, 1, 2), "there is no band 0"),
        ((1, 2), "expected three band numbers for red, green and blue, got 2"),
    ],
)
def test_wanted_bands_that_are_not_there_are_refused(wanted: tuple[int, ...], message: str) -> None:
    with pytest.raises(RasterError, match=message):
        choose_bands(bands("gray undefined undefined undefined"), "scene.tif", wanted)


@pytest.mark.parametrize("wanted", [None, (1, 1, 1)])
@pytest.mark.parametrize(
    ("layout", "advice"),
    [
        ("gray", r'"DERIVED_SUBDATASET:AMPLITUDE:scene\.tif" with --bands 1,1,1$'),
        ("gray undefined", r"scene\.tif\" with --bands R,G,B, three of its band numbers$"),
        ("gray undefined undefined", r'"DERIVED_SUBDATASET:AMPLITUDE:scene\.tif"$'),
    ],
)
def test_complex_numbers_are_refused_with_all_that_reading_amplitudes_takes(
    wanted: tuple[int, ...] | None, layout: str, advice: str
) -> None:
    with pytest.raises(RasterError, match=r"expected real values, found \d bands?: 1 complex64.*" + advice):
        choose_bands(bands(layout, "complex64"), "scene.tif", wanted)


def test_real_bands_of_a_complex_raster_can_be_chosen() -> None:
    layout = [Band("complex64", "gray"), *bands("undefined undefined undefined", "float32")]
    assert choose_bands(layout, "scene.tif", (2, 3, 4)).rgb == (2, 3, 4)


TRANSPARENCIES = {
    "on and off": np.repeat(np.uint8([0, 255]), 50),
    "all on": np.full(100, 255, np.uint8),
    "all off": np.zeros(100, np.uint8),
    "constant": np.full(100, 128, np.uint8),
    "0 and 1": np.repeat(np.uint8([0, 1]), 50),
    "feathered": np.concatenate([np.zeros(40, np.uint8), np.arange(1, 6, dtype=np.uint8), np.full(55, 255, np.uint8)]),
}
PICTURES = {
    "near infrared": np.arange(37, 205, dtype=np.uint8),
    "near infrared with black border": np.concatenate([np.zeros(500, np.uint8), np.arange(37, 205, dtype=np.uint8)]),
    "one fifth varies": np.concatenate([np.arange(1, 21, dtype=np.uint8), np.full(80, 255, np.uint8)]),
}


@pytest.mark.parametrize("kind", TRANSPARENCIES)
def test_tagged_transparencies_are_known_by_their_values(kind: str) -> None:
    assert looks_transparent(TRANSPARENCIES[kind])


@pytest.mark.parametrize("kind", PICTURES)
def test_tagged_bands_of_the_picture_are_not(kind: str) -> None:
    assert not looks_transparent(PICTURES[kind])


@pytest.mark.parametrize("kind", [*TRANSPARENCIES, *PICTURES])
def test_untagged_band_is_a_transparency_only_if_it_is_on_and_off(kind: str) -> None:
    values = {**TRANSPARENCIES, **PICTURES}[kind]
    assert looks_transparent(values, is_tagged=False) is (kind == "on and off")
