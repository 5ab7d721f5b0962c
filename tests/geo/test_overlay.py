from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.geo import overlay
from segearth_ov3.geo.overlay import render_overlay, render_panels

CLASSES = ("building", "water")
COLORS = [(220, 40, 40), (40, 110, 220)]
NO_DATA = (226, 226, 226)


def scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A grey image (H0, W0, 3) whose left half is class 0 and right half class 1 (H0, W0)."""
    labels = np.zeros((height, width), int)
    labels[:, width // 2 :] = 1
    return np.full((height, width, 3), 100, np.uint8), labels


def colors_in(picture: Image.Image) -> set[tuple[int, ...]]:
    return {tuple(color) for color in np.asarray(picture).reshape(-1, 3).tolist()}


def place_of(picture: Image.Image, color: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """First row, last row, first column and last column with exactly this colour."""
    rows, cols = np.nonzero((np.asarray(picture) == color).all(axis=-1))
    return int(rows.min()), int(rows.max()), int(cols.min()), int(cols.max())


def test_classes_are_mixed_half_and_half_with_the_image() -> None:
    picture = render_overlay(*scene(600, 600), CLASSES, COLORS)
    assert {(160, 70, 70), (70, 105, 160)} <= colors_in(picture)


def test_classes_lie_where_their_pixels_are() -> None:
    picture = render_overlay(*scene(600, 600), CLASSES, COLORS)
    left, right = place_of(picture, (160, 70, 70)), place_of(picture, (70, 105, 160))
    assert (left[1] - left[0] + 1, left[3] - left[2] + 1) == (600, 300)
    assert left[3] < right[2]


def test_rows_are_not_mistaken_for_columns() -> None:
    image, labels = scene(600, 600)
    picture = render_overlay(image, labels.T, CLASSES, COLORS)
    border = place_of(picture, (160, 70, 70))[1] + 1
    assert border < place_of(picture, (70, 105, 160))[0]
    assert np.asarray(picture)[border, 300].tolist() == list(COLORS[1])


def test_border_between_classes_has_full_color() -> None:
    picture = render_overlay(*scene(600, 600), CLASSES, COLORS)
    edge = place_of(picture, (160, 70, 70))[3] + 1
    assert np.asarray(picture)[300, edge].tolist() == list(COLORS[1])


@pytest.mark.parametrize("mark", ["invalid", "ignore value", "negative"])
def test_pixels_without_a_class_hide_the_image(mark: str) -> None:
    image, labels = scene(600, 600)
    valid = np.ones((600, 600), bool)
    if mark == "invalid":
        valid[:300] = False
    else:
        labels[:300] = 255 if mark == "ignore value" else -1
    picture = np.asarray(render_overlay(image, labels, CLASSES, COLORS, valid))
    assert (picture[50:250, 50:250] == NO_DATA).all()
    assert not (picture[350:550, 50:250] == NO_DATA).any()


def test_legend_shows_every_class_also_without_pixels() -> None:
    image = np.full((600, 600, 3), 100, np.uint8)
    picture = render_overlay(image, np.zeros((600, 600), int), CLASSES, COLORS)
    assert set(COLORS) <= colors_in(picture)


def test_legend_shows_no_data_only_where_there_is_some() -> None:
    image, labels = scene(600, 600)
    assert NO_DATA not in colors_in(render_overlay(image, labels, CLASSES, COLORS))
    labels[0, 0] = 255
    assert NO_DATA in colors_in(render_overlay(image, labels, CLASSES, COLORS))


@pytest.mark.parametrize(
    ("counts", "texts"),
    [([1, 3], ["25.0 %", "75.0 %"]), ([0, 5], ["0.0 %", "100.0 %"]), ([1, 9999], ["< 0.1 %", "100.0 %"])],
)
def test_shares_are_of_the_pixels_with_a_class(counts: list[int], texts: list[str]) -> None:
    entries = overlay._legend(np.array([*counts, 1000]), CLASSES, COLORS)
    assert [entry.share for entry in entries] == [*texts, ""]


def test_long_legends_keep_the_largest_classes_in_label_order() -> None:
    names = [str(index) for index in range(100)]
    entries = overlay._legend(np.array([*np.where(np.arange(100) % 2, 9, 1), 0]), names, [(0, 0, 0)] * 100)
    shown = [entry.name for entry in entries]
    assert shown[-1] == "and 40 more"
    assert set(names[1::2]) <= set(shown)
    assert shown[:-1] == sorted(shown[:-1], key=int)


def test_long_legends_list_what_occurs() -> None:
    counts = np.zeros(151, int)
    counts[[3, 70, 140]] = 5
    entries = overlay._legend(counts, [str(index) for index in range(150)], [(0, 0, 0)] * 150)
    assert [entry.name for entry in entries] == ["3", "70", "140", "147 classes do not occur"]


def test_legends_of_panels_list_what_occurs_in_any(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(overlay, "_draw_entry", lambda pen, corner, entry, *rest: drawn.append(entry.name))
    label, prediction = np.full((50, 50), 7), np.full((50, 50), 31)
    label[0, 0] = 255
    names = [f"class {index}" for index in range(40)]
    render_panels([("label", label), ("prediction", prediction)], names, [(0, 0, 0)] * 40)
    assert drawn == ["class 7", "class 31", "38 classes do not occur", "no data"]


@pytest.mark.parametrize(
    ("size", "inner"),
    [
        ((600, 700), (600, 700)),
        ((20, 30), (320, 480)),
        ((1, 1), (480, 480)),
        ((3000, 4000), (1500, 2000)),
        ((5000, 2), (2000, 1)),
    ],
)
def test_pictures_have_a_readable_size(size: tuple[int, int], inner: tuple[int, int]) -> None:
    width, height = overlay._picture_size(size)
    assert (height, width) == inner


@pytest.mark.parametrize("size", [(1, 1), (7, 1), (1, 900), (20, 30), (900, 300), (300, 900)])
def test_any_size_can_be_drawn_with_room_for_the_legend(size: tuple[int, int]) -> None:
    picture = render_overlay(*scene(*size), CLASSES, COLORS)
    assert picture.mode == "RGB"
    for color in COLORS:  # squares of the legend, in full colour
        assert color in colors_in(picture)


def test_legend_is_beside_tall_and_below_wide_pictures() -> None:
    tall, wide = (render_overlay(*scene(*size), CLASSES, COLORS) for size in ((900, 600), (300, 900)))
    assert place_of(tall, COLORS[0])[3] > 600
    assert place_of(wide, COLORS[0])[1] > 300


def test_long_names_are_cut() -> None:
    long = render_overlay(*scene(600, 600), ("x" * 400, "water"), COLORS)
    assert long.width < 1400


def test_names_of_two_lines_are_drawn_on_one() -> None:
    one, two = (render_overlay(*scene(60, 60), (name, "water"), COLORS) for name in ("a b", "a\nb"))
    assert one.tobytes() == two.tobytes()


def test_arguments_are_not_changed() -> None:
    image, labels = scene(30, 30)
    valid = np.zeros((30, 30), bool)
    render_overlay(image, labels, CLASSES, COLORS, valid)
    assert (image == 100).all()
    assert labels.sum() == 15 * 30
    assert not valid.any()


@pytest.mark.parametrize(
    ("image", "labels", "valid"),
    [((5, 5, 3), (5, 4), None), ((5, 5, 4), (5, 5), None), ((5, 5, 3), (5, 5), (4, 5)), ((0, 5, 3), (0, 5), None)],
)
def test_arrays_that_do_not_fit_are_refused(
    image: tuple[int, ...], labels: tuple[int, ...], valid: tuple[int, ...] | None
) -> None:
    mask = None if valid is None else np.ones(valid, bool)
    with pytest.raises(ShapeError, match=r"expected .* got"):
        render_overlay(np.zeros(image, np.uint8), np.zeros(labels, int), CLASSES, COLORS, mask)


def test_missing_colors_are_refused() -> None:
    with pytest.raises(OptionError, match="one colour for each of 2 classes, got 1"):
        render_overlay(*scene(5, 5), CLASSES, COLORS[:1])


def test_panels_show_images_as_they_are_and_labels_in_full_color() -> None:
    image, labels = scene(500, 500)
    picture = render_panels([("image", image), ("label", labels), ("prediction", labels)], CLASSES, COLORS)
    assert {(100, 100, 100), *COLORS} <= colors_in(picture)


def test_panels_stand_side_by_side_in_the_given_order() -> None:
    image, labels = scene(500, 500)
    picture = render_panels([("image", image), ("label", labels * 0), ("prediction", labels * 0 + 1)], CLASSES, COLORS)
    firsts = [place_of(picture, color)[2] for color in ((100, 100, 100),)]
    body = np.asarray(picture)[200]
    assert firsts[0] < int(np.argmax((body == COLORS[0]).all(-1))) < int(np.argmax((body == COLORS[1]).all(-1)))


def test_ignored_pixels_are_neutral_in_panels() -> None:
    labels = np.full((500, 500), 255)
    assert NO_DATA in colors_in(render_panels([("label", labels)], CLASSES, COLORS))


def test_panels_of_large_images_fit_in_two_thousand_pixels() -> None:
    image, labels = scene(1500, 1500)
    picture = render_panels([("image", image), ("label", labels), ("prediction", labels)], CLASSES, COLORS)
    assert 1900 < picture.width < 2200


def test_panels_of_different_size_are_refused() -> None:
    image, labels = scene(50, 50)
    with pytest.raises(ShapeError, match="expected prediction"):
        render_panels([("image", image), ("prediction", labels[:40])], CLASSES, COLORS)


def test_no_panel_is_refused() -> None:
    with pytest.raises(OptionError, match="at least one panel"):
        render_panels([], CLASSES, COLORS)


def test_white_classes_stand_out_from_the_paper() -> None:
    labels = np.zeros((600, 600), dtype=np.int64)
    picture = np.asarray(render_panels([("label", labels)], ["snow"], [(255, 255, 255)]))
    frames = (picture < 200).all(axis=-1)
    # rows that are dark over the whole width of the panel: its upper and lower edge
    assert (frames.sum(axis=1) >= 600).sum() == 2
    swatch = frames[-40:, :60]
    assert swatch.sum(axis=0).max() > 8
