"""Generated scenes: shapes, determinism, exact labels, instances, light, resolution and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from segearth_ov3.demo.fields import Window
from segearth_ov3.demo.layout import draw_plan
from segearth_ov3.demo.light import cast_shadows
from segearth_ov3.demo.objects import first_ids
from segearth_ov3.demo.rendering import render, render_window
from segearth_ov3.demo.scenes import (
    INSTANCE_CLASSES,
    SCENE_CLASSES,
    SCENE_COLORS,
    SCENE_THEMES,
    Scene,
    generate_scene,
    write_scene,
)
from segearth_ov3.demo.stamps import disc_stamps, highest, rect_stamps
from segearth_ov3.demo.style import Sun
from segearth_ov3.errors import OptionError, RasterError, UnknownNameError

BUILDING, ROAD, WATER, TREE, GRASS, SOIL, FIELD, POOL = range(8)


@pytest.fixture(scope="module")
def suburb() -> Scene:
    """A suburb with houses, pools, trees and cars."""
    return generate_scene((320, 400), seed=5, res_m=0.4, theme="suburb", arid=False)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """Forty small scenes as the seeds draw them."""
    return [generate_scene((128, 128), seed) for seed in range(40)]


def test_eight_classes_have_names_and_distinct_colours() -> None:
    assert len(SCENE_CLASSES) == len(set(SCENE_CLASSES)) == len(set(SCENE_COLORS)) == 8


@pytest.mark.parametrize("size", [(100, 100), (96, 250), (331, 127)])
def test_arrays_have_the_size_asked_for(size: tuple[int, int]) -> None:
    scene = generate_scene(size, seed=1)
    assert (scene.image.shape, scene.labels.shape, scene.instances.shape) == ((*size, 3), size, size)


def test_arrays_have_the_documented_types(suburb: Scene) -> None:
    kinds = [array.dtype.name for array in (suburb.image, suburb.labels, suburb.instances, suburb.instance_classes)]
    assert kinds == ["uint8", "uint8", "int32", "uint8"]


def test_arrays_are_contiguous_and_writable(suburb: Scene) -> None:
    for array in suburb[:3]:
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_labels_are_class_indices(scenes: list[Scene]) -> None:
    assert max(int(scene.labels.max()) for scene in scenes) < len(SCENE_CLASSES)


def test_drawn_resolution_is_between_20_cm_and_1_m(scenes: list[Scene]) -> None:
    drawn = [scene.res_m for scene in scenes]
    assert 0.2 <= min(drawn) < 0.3
    assert 0.7 < max(drawn) <= 1.0


@pytest.mark.parametrize("seed", [0, 3, 2**40])
def test_same_seed_gives_equal_scenes(seed: int) -> None:
    first, second = generate_scene((150, 190), seed), generate_scene((150, 190), seed)
    for one, other in zip(first, second):
        np.testing.assert_array_equal(one, other)


def test_other_seeds_give_other_labels(scenes: list[Scene]) -> None:
    assert len({scene.labels.tobytes() for scene in scenes}) == len(scenes)


def test_every_class_covers_its_share(scenes: list[Scene]) -> None:
    counts = np.bincount(np.concatenate([scene.labels.ravel() for scene in scenes]), minlength=8)
    shares = counts / counts.sum()
    assert shares[:POOL].min() > 0.03
    assert shares[POOL] > 0.0005


@pytest.mark.parametrize("label", range(8), ids=SCENE_CLASSES)
def test_every_class_is_absent_from_some_scenes(scenes: list[Scene], label: int) -> None:
    present = np.mean([np.any(scene.labels == label) for scene in scenes])
    assert 0.1 < present < 0.95


@pytest.mark.parametrize("theme", SCENE_THEMES)
@pytest.mark.parametrize("arid", [False, True])
def test_every_theme_renders_in_every_climate(theme: str, arid: bool) -> None:
    scene = generate_scene((90, 120), seed=2, res_m=0.8, theme=theme, arid=arid)
    assert len(np.unique(scene.labels)) >= 2


@pytest.mark.parametrize(
    ("theme", "label", "share"),
    [("town", BUILDING, 0.1), ("suburb", BUILDING, 0.08), ("farmland", FIELD, 0.25), ("woodland", TREE, 0.25)],
)
def test_theme_brings_its_class(theme: str, label: int, share: float) -> None:
    found = [generate_scene((96, 96), s, res_m=1.0, theme=theme, arid=False).labels == label for s in range(12)]
    assert np.mean(found) > share


def test_desert_has_more_bare_soil_than_grass() -> None:
    labels = [generate_scene((128, 128), s, res_m=0.8, theme="wasteland", arid=True).labels for s in range(4)]
    assert np.mean(np.array(labels) == SOIL) > 3 * np.mean(np.array(labels) == GRASS)


@pytest.mark.parametrize(("name", "label"), [("building", BUILDING), ("swimming pool", POOL), ("tree", TREE)])
def test_instances_lie_on_their_label(suburb: Scene, name: str, label: int) -> None:
    covered = np.isin(suburb.instances, suburb.instance_ids(name))
    assert covered.any()
    assert (suburb.labels[covered] == label).all()


@pytest.mark.parametrize("label", [BUILDING, POOL], ids=["building", "pool"])
def test_every_pixel_of_a_countable_class_belongs_to_an_instance(suburb: Scene, label: int) -> None:
    assert (suburb.instances[suburb.labels == label] > 0).all()


def test_cars_stand_on_paved_ground_in_a_suburb(suburb: Scene) -> None:
    cars = np.isin(suburb.instances, suburb.instance_ids("car"))
    assert cars.sum() > 50
    assert (suburb.labels[cars] == ROAD).mean() > 0.95


def test_instance_numbers_run_without_gaps(suburb: Scene) -> None:
    np.testing.assert_array_equal(np.unique(suburb.instances), np.arange(len(suburb.instance_classes)))


def test_number_zero_is_no_instance(suburb: Scene) -> None:
    assert INSTANCE_CLASSES[suburb.instance_classes[0]] == "none"
    assert (suburb.instance_classes[1:] > 0).all()


def test_unknown_instance_class_lists_known(suburb: Scene) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown instance class 'boat'.*building"):
        suburb.instance_ids("boat")


def test_sun_changes_the_image_but_no_label() -> None:
    low = generate_scene((200, 200), 11, res_m=0.4, theme="town", sun_deg=(110.0, 30.0))
    high = generate_scene((200, 200), 11, res_m=0.4, theme="town", sun_deg=(250.0, 65.0))
    np.testing.assert_array_equal(low.labels, high.labels)
    np.testing.assert_array_equal(low.instances, high.instances)
    assert np.abs(low.image.astype(int) - high.image).mean() > 3


def test_low_sun_makes_the_scene_darker_between_buildings() -> None:
    low, high = (
        generate_scene((200, 200), 11, res_m=0.4, theme="town", arid=False, sun_deg=(180.0, elevation))
        for elevation in (15.0, 85.0)
    )
    ground = high.labels != BUILDING
    assert low.image[ground].mean() < high.image[ground].mean() - 10


@pytest.mark.parametrize(
    ("azimuth_deg", "step"), [(180.0, (-1, 0)), (90.0, (0, -1)), (270.0, (0, 1)), (0.0, (1, 0)), (135.0, (-1, -1))]
)
def test_shadow_falls_away_from_the_sun(azimuth_deg: float, step: tuple[int, int]) -> None:
    height = np.zeros((101, 101), np.float32)
    height[48:53, 48:53] = 10.0
    rows, cols = np.nonzero(cast_shadows(height, Sun(azimuth_deg, 45.0), res_m=1.0) > 0.5)
    away = np.array((rows.mean() - 50, cols.mean() - 50))
    np.testing.assert_array_equal(np.sign(np.round(away, 0)), step)


@pytest.mark.parametrize("elevation_deg", [30.0, 45.0, 60.0])
@pytest.mark.parametrize("res_m", [0.25, 1.0])
def test_shadow_is_as_long_as_height_over_slope(elevation_deg: float, res_m: float) -> None:
    height = np.zeros((160, 21), np.float32)
    height[150:155, :] = 8.0
    shadow = cast_shadows(height, Sun(180.0, elevation_deg), res_m)[:150, 10]
    assert shadow.sum() * res_m == pytest.approx(8.0 / np.tan(np.radians(elevation_deg)), abs=0.2 + 0.6 * res_m)


def test_buildings_keep_their_size_in_metres() -> None:
    areas = []
    for side, res_m in ((320, 0.3), (120, 0.8)):
        for seed in (5, 8, 9):
            scene = generate_scene((side, side), seed, res_m=res_m, theme="suburb", arid=False)
            pixels = np.bincount(scene.instances.ravel())[scene.instance_ids("building")]
            areas.append(np.sort(pixels * res_m**2)[-8:].mean())
    np.testing.assert_allclose(np.mean(areas[:3]), np.mean(areas[3:]), rtol=0.3)


def test_every_pixel_centre_under_a_roof_is_building_or_tree() -> None:
    plan = draw_plan((200, 240), 5, 0.4, "suburb", False, None)
    labels = render(plan).labels
    y, x = (np.mgrid[:200, :240] + 0.5) * 0.4
    covered = np.zeros(labels.shape, bool)
    for wing in plan.tables["wings"]:
        cos, sin = np.cos(wing["angle"]), np.sin(wing["angle"])
        u = (x - wing["x"]) * cos + (y - wing["y"]) * sin
        v = (y - wing["y"]) * cos - (x - wing["x"]) * sin
        covered |= (np.abs(u) < wing["half_length"] - 0.01) & (np.abs(v) < wing["half_width"] - 0.01)
    assert covered.mean() > 0.05
    assert np.isin(labels[covered], (BUILDING, TREE)).all()
    assert (labels[~covered] == BUILDING).mean() < 0.001


@pytest.mark.parametrize("kind", ["wings", "pools", "trees", "cars"])
def test_objects_are_numbered_by_their_row(kind: str) -> None:
    plan = draw_plan((240, 240), 5, 0.5, "suburb", False, None)
    table, numbers = plan.tables[kind], render(plan).instances
    row, col = (table["y"] / 0.5).astype(int), (table["x"] / 0.5).astype(int)
    inside = (row >= 0) & (row < 240) & (col >= 0) & (col < 240)
    index = table["house"] if kind == "wings" else np.arange(len(table))
    expected = first_ids(plan)[kind] + index[inside]
    assert (numbers[row[inside], col[inside]] == expected).mean() > 0.4  # others are under trees


def test_numbers_of_the_kinds_follow_each_other() -> None:
    plan = draw_plan((150, 150), 5, 0.5, "suburb", False, None)
    first = first_ids(plan)
    counts = {"wings": plan.tables["wings"]["house"].max() + 1, "pools": len(plan.tables["pools"])}
    assert first["wings"] == 1
    assert first["pools"] == 1 + counts["wings"]
    assert first["trees"] == first["pools"] + counts["pools"]
    assert first["cars"] == first["trees"] + len(plan.tables["trees"])


def test_windows_agree_with_the_whole_scene() -> None:
    plan = draw_plan((260, 300), 21, 0.5, "suburb", False, None)
    whole = render_window(plan, Window(0, 0, 260, 300, 0.5), 12, 0)
    part = render_window(plan, Window(70, 90, 120, 130, 0.5), 12, 1)
    assert (whole.labels[70:190, 90:220] == part.labels).mean() > 0.999
    assert (whole.instances[70:190, 90:220] == part.instances).mean() > 0.999


def test_large_scenes_have_no_seams_between_tiles() -> None:
    scene = generate_scene((64, 1500), seed=4, res_m=0.5)
    step = np.abs(np.diff(scene.image.astype(float), axis=1)).mean((0, 2))
    assert step[1023] < np.percentile(step, 99.5) + 1


def test_rectangle_covers_its_area() -> None:
    window = Window(0, 0, 200, 200, 0.5)
    columns = ["x", "y", "angle", "half_length", "half_width"]
    rects = np.zeros(1, [(name, "f4") for name in columns])
    for angle in np.linspace(0, np.pi, 7):
        rects[0] = (50, 50, angle, 20, 8)
        assert len(rect_stamps(rects, window).pixel) == pytest.approx(40 * 16 / 0.25, rel=0.02)


def test_rectangle_coordinates_run_along_and_across() -> None:
    rects = np.zeros(1, [(name, "f4") for name in ("x", "y", "angle", "half_length", "half_width")])
    rects[0] = (50, 40, np.pi / 2, 10, 3)
    stamps = rect_stamps(rects, Window(0, 0, 100, 100, 1.0))
    row, col = np.divmod(stamps.pixel, 100)
    np.testing.assert_allclose(stamps.u, row + 0.5 - 40, atol=1e-3)
    np.testing.assert_allclose(stamps.v, 50 - (col + 0.5), atol=1e-3)


def test_disc_partly_outside_is_clipped() -> None:
    discs = np.zeros(1, [("x", "f4"), ("y", "f4"), ("radius", "f4")])
    discs[0] = (0, 50, 10)
    stamps = disc_stamps(discs, Window(0, 0, 100, 100, 1.0))
    assert len(stamps.pixel) == pytest.approx(np.pi * 100 / 2, rel=0.05)
    assert (stamps.pixel % 100 < 10).all()


def test_highest_stamp_wins_whatever_the_order() -> None:
    surface = np.zeros(3, np.float32)
    on_top = highest(np.array([1, 1, 2]), np.array([5.0, 3.0, 0.0]), surface)
    np.testing.assert_array_equal(on_top, [True, False, False])
    np.testing.assert_array_equal(surface, [0, 5, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (31, 100)}, r"size of 32 to 10000 pixels, got 31 x 100"),
        ({"size": (100, 10_001)}, r"got 100 x 10001"),
        ({"seed": -1}, r"seed of 0 or more, got -1"),
        ({"res_m": 0.0}, r"res_m between 0.1 and 2.0 metres, got 0.0"),
        ({"res_m": 5.0}, r"res_m between"),
        ({"sun_deg": (180.0, 0.0)}, r"sun elevation of 10 to 90 degrees, got 0.0"),
    ],
)
def test_absurd_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        generate_scene(**{"size": (100, 100), "seed": 0, **arguments})


def test_unknown_theme_lists_known() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown theme 'suburbs'.*farmland.*did you mean 'suburb'"):
        generate_scene((100, 100), 0, theme="suburbs")


@pytest.fixture(scope="module")
def written(suburb: Scene, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The suburb as files."""
    folder = tmp_path_factory.mktemp("scene")
    write_scene(suburb, folder / "scene.tif", folder / "labels.tif", crs="EPSG:32632", origin_xy=(5e5, 5.6e6))
    return folder / "scene.tif", folder / "labels.tif"


def test_files_hold_the_arrays(suburb: Scene, written: tuple[Path, Path]) -> None:
    with rasterio.open(written[0]) as image, rasterio.open(written[1]) as labels:
        np.testing.assert_array_equal(image.read().transpose(1, 2, 0), suburb.image)
        np.testing.assert_array_equal(labels.read(1), suburb.labels)


@pytest.mark.parametrize("index", [0, 1], ids=["image", "labels"])
def test_files_are_georeferenced(suburb: Scene, written: tuple[Path, Path], index: int) -> None:
    with rasterio.open(written[index]) as raster:
        assert raster.crs.to_epsg() == 32632
        assert tuple(raster.transform)[:6] == (suburb.res_m, 0.0, 5e5, 0.0, -suburb.res_m, 5.6e6)


@pytest.mark.parametrize("index", [0, 1], ids=["image", "labels"])
def test_files_are_tiled_with_overviews(written: tuple[Path, Path], index: int) -> None:
    with rasterio.open(written[index]) as raster:
        assert raster.overviews(1) == [2, 4]
        assert raster.profile["tiled"]
        assert raster.compression.name == "deflate"


def test_label_file_names_and_colours_its_classes(written: tuple[Path, Path]) -> None:
    with rasterio.open(written[1]) as raster:
        tags, colours = raster.tags(), raster.colormap(1)
    assert [tags[f"CLASS_{index}"] for index in range(8)] == list(SCENE_CLASSES)
    assert [colours[index][:3] for index in range(8)] == list(SCENE_COLORS)


def test_label_overviews_hold_labels_of_their_place(suburb: Scene, written: tuple[Path, Path]) -> None:
    with rasterio.open(written[1], overview_level=0) as raster:
        small = raster.read(1)
    rows, cols = small.shape
    blocks = suburb.labels.reshape(rows, 2, cols, 2)
    assert (blocks == small[:, None, :, None]).any((1, 3)).all()


def test_nothing_else_is_left_in_the_folder(written: tuple[Path, Path]) -> None:
    assert sorted(path.name for path in written[0].parent.iterdir()) == ["labels.tif", "scene.tif"]


def test_existing_files_are_kept(suburb: Scene, tmp_path: Path) -> None:
    (tmp_path / "labels.tif").write_text("mine")
    with pytest.raises(RasterError, match=r"labels\.tif exists; choose another name or pass overwrite=True"):
        write_scene(suburb, tmp_path / "scene.tif", tmp_path / "labels.tif")
    assert (tmp_path / "labels.tif").read_text() == "mine"
    assert not (tmp_path / "scene.tif").exists()


def test_overwrite_replaces_files(suburb: Scene, tmp_path: Path) -> None:
    (tmp_path / "labels.tif").write_text("mine")
    write_scene(suburb, tmp_path / "scene.tif", tmp_path / "labels.tif", overwrite=True)
    with rasterio.open(tmp_path / "labels.tif") as raster:
        assert raster.shape == suburb.labels.shape


def test_missing_folder_is_reported(suburb: Scene, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match=r"cannot write .*scene\.tif: the folder .*new does not exist"):
        write_scene(suburb, tmp_path / "new" / "scene.tif", tmp_path / "labels.tif")


def test_failed_write_leaves_nothing_behind(suburb: Scene, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="cannot write"):
        write_scene(suburb, tmp_path / "scene.tif", tmp_path / "labels.tif", crs="EPSG:999999")
    assert list(tmp_path.iterdir()) == []
