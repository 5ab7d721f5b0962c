"""Label codings, each against the table it was taken from or another program's result."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from fake_pixels import blocks, encode_runs, rng
from PIL import Image
from prepare_data import cropped, general, pixels
from prepare_data.context_labels import RAW_IDS, decode_runs
from prepare_data.pixels import Notes

from segearth_ov3.errors import DatasetError
from segearth_ov3.metrics.confusion import NO_CLASS


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def table(shared_dir: Path, name: str) -> list[dict[str, str]]:
    with (shared_dir / "labelmaps" / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.parametrize(
    ("name", "colors", "column"),
    [
        ("isprs", cropped.ISPRS_COLORS, "raw"),
        ("uavid", cropped.UAVID_COLORS, "index"),
        ("isaid", cropped.ISAID_COLORS, "index"),
    ],
)
def test_colours_are_those_of_the_table(shared_dir, name, colors, column):
    rows = table(shared_dir, name)
    expected = {(int(row["red"]), int(row["green"]), int(row["blue"])): int(row[column]) for row in rows}
    assert colors == expected


@pytest.mark.parametrize(
    ("name", "mapping"),
    [
        ("coco_stuff164k", general.COCO_STUFF_TABLE),
        ("coco_object", general.COCO_OBJECT_TABLE),
        ("cityscapes", general.CITYSCAPES_TABLE),
        ("context60", {raw: index for index, raw in enumerate(RAW_IDS)}),
    ],
)
def test_raw_values_are_mapped_as_in_the_table(shared_dir, name, mapping):
    expected = {int(row["raw"]): int(row["index"]) for row in table(shared_dir, name)}
    unused = set(mapping) - set(expected)
    assert {raw: index for raw, index in mapping.items() if raw not in unused} == expected
    assert all(mapping[raw] == 255 for raw in unused)


def test_undocumented_values_are_an_error(tmp_path):
    path = save(tmp_path / "label.png", np.full((3, 4), 11, dtype=np.uint8))
    with pytest.raises(DatasetError, match=r"label\.png: undocumented values \[11\]"):
        pixels.mapped(general.COCO_STUFF_TABLE)(path, Notes())


def test_colours_are_matched_exactly_and_others_counted(tmp_path):
    colors = np.array([[(255, 0, 0), (254, 0, 0), (0, 0, 255), (1, 2, 3)]], dtype=np.uint8)
    notes = Notes()
    labels = pixels.colored(cropped.ISPRS_COLORS)(save(tmp_path / "label.png", colors), notes)
    assert labels.tolist() == [[6, 0, 2, 0]]
    assert notes.counts == {pixels.UNDOCUMENTED: 2}


def test_published_isprs_way_takes_equal_weighted_sums_for_equal_colours(tmp_path):
    green = (0, 255, 0)
    alike = (3 * 60, 15, 0)  # 4 * 180 + 3 * 15 = 765 = 3 * 255
    path = save(tmp_path / "label.png", np.array([[green, alike]], dtype=np.uint8))
    assert pixels.colored(cropped.ISPRS_COLORS)(path, Notes()).tolist() == [[4, 0]]
    assert pixels.colored_by_sum(cropped.ISPRS_COLORS, (4, 3, 2))(path, Notes()).tolist() == [[4, 4]]


def test_published_isprs_way_is_the_same_on_documented_colours(tmp_path):
    path = save(tmp_path / "label.png", np.array([list(cropped.ISPRS_COLORS)], dtype=np.uint8))
    readers = pixels.colored(cropped.ISPRS_COLORS), pixels.colored_by_sum(cropped.ISPRS_COLORS, (4, 3, 2))
    first, second = (reader(path, Notes()).tolist() for reader in readers)
    assert first == second == [[0, 1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize(("threshold", "expected"), [(128, [[0, 0, 1, 1]]), (129, [[0, 0, 0, 1]])])
def test_masks_are_split_at_the_threshold(tmp_path, threshold, expected):
    path = save(tmp_path / "mask.png", np.array([[0, 127, 128, 255]], dtype=np.uint8))
    assert pixels.binary(threshold)(path, Notes()).tolist() == expected


def test_masks_of_zero_and_one_are_kept(tmp_path):
    path = save(tmp_path / "mask.png", np.array([[0, 1]], dtype=np.uint8))
    assert pixels.binary()(path, Notes()).tolist() == [[0, 1]]
    assert pixels.any_channel(path, Notes()).tolist() == [[0, 1]]


def test_dark_jpeg_noise_is_no_mask_of_zero_and_one(tmp_path, monkeypatch):
    path = save(tmp_path / "mask.jpg", np.ones((8, 8), dtype=np.uint8), quality=100)
    assert np.asarray(Image.open(path)).max() == 1
    assert not pixels.binary()(path, Notes()).any()


def test_change_in_any_channel_counts(tmp_path):
    path = save(tmp_path / "mask.png", np.array([[(0, 0, 0), (0, 0, 255), (255, 0, 0), (9, 9, 9)]], dtype=np.uint8))
    assert pixels.any_channel(path, Notes()).tolist() == [[0, 1, 1, 0]]


def test_masks_stored_as_jpeg_again_differ_and_mark_values_above_one(tmp_path):
    mask = blocks(rng("water"), (96, 96), 2).astype(np.uint8)
    mask[40:44, 10:80] = 1 - mask[40:44, 10:80]
    path = save(tmp_path / "mask.png", mask * 255)
    right, published = pixels.binary(), pixels.after_jpeg(pixels.binary())
    assert np.array_equal(right(path, Notes()), mask)
    again = published(path, Notes())
    assert set(np.unique(again)) <= {0, 1, NO_CLASS}
    assert 0 < np.mean(again != mask) < 0.1


def test_eight_bit_labels_keep_their_values_where_palette_files_without_palette_lose_them(tmp_path):
    """Newer Pillow stores such a palette file with one bit per pixel: the fault of the published converters."""
    labels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    flattened = Image.frombytes("P", (4, 4), labels.tobytes())
    flattened.save(tmp_path / "flat.png")
    assert np.asarray(Image.open(tmp_path / "flat.png")).max() == 1
    pixels.write_picture(labels, tmp_path / "right.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "right.png")), labels)


def test_label_above_8_bits_is_an_error_that_names_the_values(tmp_path):
    path = save(tmp_path / "label.png", np.array([[0, 256, 259]], dtype=np.uint16))
    with pytest.raises(DatasetError, match=r"label\.png: expected class values 0 to 255, got also \[256, 259\]"):
        pixels.read_indices(path)


def test_mask_of_16_bits_is_split_at_the_threshold_by_its_own_values(tmp_path):
    path = save(tmp_path / "mask.png", np.array([[0, 127, 128, 65535]], dtype=np.uint16))
    assert pixels.binary()(path, Notes()).tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize("reader", [pixels.read_size, pixels.read_bands, pixels.read_indices])
def test_file_that_is_no_picture_is_named(tmp_path, reader):
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match=r"cannot read .*broken\.png: "):
        reader(tmp_path / "broken.png")


def test_picture_cut_short_is_named(tmp_path):
    path = save(tmp_path / "short.png", rng("x").integers(0, 256, (64, 64, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DatasetError, match=r"cannot read .*short\.png"):
        pixels.read_indices(path)


def test_bands_are_stretched_between_percentiles_of_valid_values():
    bands = np.zeros((3, 10, 100), dtype=np.uint16)
    bands[:, 1:] = np.arange(1, 901).reshape(9, 100)
    picture = pixels.stretch_to_bytes(bands)
    low, high = np.percentile(np.arange(1, 901), (2, 98))
    assert not picture[0].any()
    assert picture[1:, :, 0].ravel()[449] == round(255 * (450 - low) / (high - low))
    assert (picture[1, 0, 0], picture[-1, -1, 0]) == (0, 255)


# (size, rectangles set to 1 or 0, text), the text written by pycocotools 2.0.11
RUNS = [
    (
        (50, 70),
        [(slice(3, 40), slice(5, 60), 1), (slice(10, 20), slice(30, 35), 0), (49, 69, 1), (0, 0, 1)],
        "01l7T1aH000000000000000000000000000000000000000000000000ROM=3CM=3CM=3CM=3CM=3a000000000000000000000000000000"
        "0000000000000000000`?lN",
    ),
]


@pytest.mark.parametrize(("size", "rectangles", "text"), RUNS)
def test_run_lengths_are_decoded_as_pycocotools_writes_them(size, rectangles, text):
    mask = np.zeros(size, dtype=bool)
    for rows, columns, value in rectangles:
        mask[rows, columns] = value
    assert np.array_equal(decode_runs(text, *size), mask)
    assert encode_runs(mask) == text


def test_damaged_run_lengths_are_an_error():
    with pytest.raises(DatasetError, match="for a mask of 50 x 71"):
        decode_runs(RUNS[0][2], 50, 71)
