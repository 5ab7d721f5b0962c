"""Where images are cut, against counts known from the published sets, and by properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prepare_data import crop_plans
from prepare_data.crop_plans import Crop

from segearth_ov3.errors import DatasetError


def test_potsdam_tile_gives_144_crops_and_the_last_ones_overlap():
    crops = crop_plans.grid(512)(6000, 6000)
    assert len(crops) == 144
    assert [crop.x0 for crop in crops[:12]] == [*range(0, 5121, 512), 5488]
    assert crops[-1].name == "5488_5488_6000_6000"


@pytest.mark.parametrize(
    ("size", "side", "count"), [((5000, 5000), 1000, 25), ((1887, 2557), 512, 20), ((512, 512), 512, 1)]
)
def test_grid_has_the_published_number_of_crops(size, side, count):
    assert len(crop_plans.grid(side)(*size)) == count


def test_grid_is_not_the_announced_stride_of_256():
    starts = crop_plans.grid_starts(6000, 512)
    assert 256 not in starts
    assert len(starts) == 12


def test_image_smaller_than_a_crop_is_an_error():
    with pytest.raises(DatasetError, match="500 pixels is less than a crop's 512"):
        crop_plans.grid(512)(500, 600)


def test_gid_scene_gives_56_crops_named_by_corner_and_size():
    crops = crop_plans.corner(1024)(7200, 6800)
    assert len(crops) == 56
    assert crops[-1] == Crop("6176_5776_1024_1024", 6176, 5776, 7200, 6800)


@pytest.mark.parametrize(("width", "columns"), [(3840, [0, 1280, 2560]), (4096, [0, 1280, 2560, 2816])])
def test_uavid_frames_are_cut_into_two_rows(width, columns):
    crops = crop_plans.sliding(1280, 1080)(width, 2160)
    assert [(crop.y0, crop.x0) for crop in crops] == [(row, column) for row in (0, 1080) for column in columns]


def test_isaid_crops_are_named_rows_first_and_padded_on_each_axis():
    crops = crop_plans.sliding(896, 896, overlap_px=384)(1000, 600)
    assert [crop.name for crop in crops] == ["0_896_0_896", "0_896_104_1000"]
    assert [crop[1:] for crop in crops] == [(0, 0, 896, 896), (104, 0, 1000, 896)]


def test_isaid_image_with_one_exact_side_is_padded_and_the_published_way_takes_its_end():
    assert crop_plans.sliding(896, 896, 384)(700, 896) == [Crop("0_896_0_896", 0, 0, 896, 896)]
    assert crop_plans.sliding_as_published(896, 384)(700, 896) == [Crop("0_896_-196_700", 504, 0, 700, 896)]


@pytest.mark.parametrize(("size", "slices"), [((700, 896), (slice(None), slice(-196, 700))), ((896, 300), None)])
def test_published_start_is_what_a_negative_slice_gives(size, slices):
    width, height = size
    (crop,) = crop_plans.sliding_as_published(896, 384)(width, height)
    pixels = np.arange(width * height).reshape(height, width)
    slices = slices or (slice(height - 896, height), slice(None))
    assert np.array_equal(pixels[crop.y0 : crop.y1, crop.x0 : crop.x1], pixels[slices])


@pytest.mark.parametrize("size", [(896, 896), (900, 896), (700, 600), (2000, 1500), (700, 1200)])
def test_published_way_differs_only_where_one_side_is_exact_and_the_other_short(size):
    assert crop_plans.sliding_as_published(896, 384)(*size) == crop_plans.sliding(896, 896, 384)(*size)


def test_quarters_need_a_square_of_twice_the_side():
    assert [crop.name for crop in crop_plans.quarters(512)(1024, 1024)] == ["0_0", "0_1", "1_0", "1_1"]
    with pytest.raises(DatasetError, match="expected images of 1024 x 1024 pixels, got 1024 x 1000"):
        crop_plans.quarters(512)(1024, 1000)


def test_whu_cd_mosaic_gives_the_number_of_official_tiles():
    crops = crop_plans.padded_grid(512)(15354, 11265)
    assert len(crops) == 690
    assert crops[-1].name == "22_29"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(5, 20), st.integers(0, 4))
def test_every_pixel_is_covered_and_every_name_is_used_once(width, height, side, overlap):
    plans = [crop_plans.sliding(side, side, overlap), crop_plans.padded_grid(side)]
    if min(width, height) >= side:
        plans += [crop_plans.grid(side), crop_plans.corner(side)]
    for plan in plans:
        crops = plan(width, height)
        covered = np.zeros((height, width), dtype=bool)
        for crop in crops:
            covered[crop.y0 : crop.y1, crop.x0 : crop.x1] = True
            assert (crop.x1 - crop.x0, crop.y1 - crop.y0) == (side, side)
            assert crop.x0 >= 0
            assert crop.y0 >= 0
        assert covered.all()
        assert len({crop.name for crop in crops}) == len(crops)
