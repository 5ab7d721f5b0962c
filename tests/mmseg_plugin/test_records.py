"""Records of images: kept, read again, refused where they are of another run."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from image_records import LabelledFolder, record

from segearth_ov3.errors import DatasetWarning, OptionError
from segearth_ov3.mmseg_plugin.records import (
    ImageRecord,
    PixelCounts,
    RecordFile,
    differences,
    image_files,
    sum_confusions,
)

pytestmark = pytest.mark.mmseg

SUBJECT = {"variants": [{"name": "a", "parameters": {"weight": 0.1}}], "diagnostics": True, "sizes": (1, 2)}


def assert_equal(one: ImageRecord, other: ImageRecord) -> None:
    assert [each is None for each in one.counts] == [each is None for each in other.counts]
    for index, each in enumerate(one.counts):
        if each is not None:
            np.testing.assert_array_equal(one.confusion(index), other.confusion(index))
            assert one.confusion(index).dtype == other.confusion(index).dtype
    assert one.failures == other.failures
    np.testing.assert_array_equal(one.diagnostics, other.diagnostics)
    assert (one.image, one.seconds, one.total_seconds) == (other.image, other.seconds, other.total_seconds)


@pytest.mark.parametrize(
    "each",
    [
        record(),
        record("Tile 1/images/ä.png", 1),
        record(diagnostics=None),
        record(seconds=[None, None], total_seconds=None),
        record(failures={"b": "did not converge"})._replace(counts=(record().counts[0], None)),
        record(confusions=np.zeros((2, 3, 3), dtype=np.int64)),
        record(confusions=np.full((2, 3, 3), 2**40)),
    ],
    ids=[
        "plain",
        "name with a folder",
        "no diagnostics",
        "no time",
        "failed variant",
        "ignored altogether",
        "large counts",
    ],
)
def test_record_comes_back_as_it_was(tmp_path, each):
    RecordFile(tmp_path / "records", SUBJECT, 3).add(each)
    (found,) = RecordFile(tmp_path / "records", SUBJECT, 3).records.values()
    assert_equal(found, each)


def test_records_are_appended_over_several_runs(tmp_path):
    path = tmp_path / "records"
    for seed, name in enumerate("abc"):
        file = RecordFile(path, SUBJECT, 3)
        assert list(file.records) == list("abc"[:seed])
        file.add(record(name, seed))
        assert list(file.records) == list("abc"[: seed + 1])
    for seed, name in enumerate("abc"):
        assert_equal(RecordFile(path, SUBJECT, 3).records[name], record(name, seed))


def test_file_is_made_by_the_first_record(tmp_path):
    path = tmp_path / "records"
    file = RecordFile(path, SUBJECT, 3)
    assert not path.exists()
    file.add(record())
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize("left", [0, 1, 20, -1])
def test_line_that_was_cut_off_does_not_count(tmp_path, left):
    path = tmp_path / "records"
    file = RecordFile(path, SUBJECT, 3)
    for name in "ab":
        file.add(record(name))
    header, first, second = path.read_text().splitlines(keepends=True)
    path.write_text(header + first + second[:left])
    file = RecordFile(path, SUBJECT, 3)
    assert list(file.records) == ["a"]
    file.add(record("b"))
    assert path.read_text() == header + first + second


@pytest.mark.parametrize("left", [0, 7])
def test_file_with_a_cut_off_first_line_begins_anew(tmp_path, left):
    path = tmp_path / "records"
    path.write_text(json.dumps(SUBJECT)[:left])
    file = RecordFile(path, SUBJECT, 3)
    assert file.records == {}
    file.add(record())
    assert list(RecordFile(path, SUBJECT, 3).records) == ["a.png"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"diagnostics": False}, "diagnostics (True there, False here)"),
        (
            {"variants": [{"name": "a", "parameters": {"weight": 0.2}}]},
            "variants.0.parameters.weight (0.1 there, 0.2 here)",
        ),
        ({"variants": []}, "variants (1 entries there, 0 entries here)"),
        ({"sizes": [1, 3], "diagnostics": None}, "diagnostics (True there, None here); sizes.1 (2 there, 3 here)"),
        ({"new": 1}, "new (None there, 1 here)"),
        (dict.fromkeys("abcde", 1), "a (None there, 1 here); b (None there, 1 here); c (None there, 1 here) and 2"),
    ],
    ids=str,
)
def test_records_of_another_run_are_refused_with_the_difference(tmp_path, changes, named):
    path = tmp_path / "records"
    RecordFile(path, SUBJECT, 3).add(record())
    before = path.read_text()
    with pytest.raises(OptionError, match=re.escape(f"holds another run, different in {named}")):
        RecordFile(path, {**SUBJECT, **changes}, 3)
    assert path.read_text() == before


@pytest.mark.parametrize("line", ["{}", "no json", '{"image": "a", "counts": [[[99], [1]]]}', "[]", "\0\0\0", "\udcff"])
def test_damaged_line_is_named_and_the_file_kept(tmp_path, line):
    path = tmp_path / "records"
    RecordFile(path, SUBJECT, 3).add(record())
    before = path.read_bytes() + line.encode("utf-8", "surrogateescape") + b"\n"
    path.write_bytes(before)
    with pytest.raises(
        OptionError, match=r"records, line 3 is damaged .*; remove the line, or --overwrite starts over"
    ):
        RecordFile(path, SUBJECT, 3)
    assert path.read_bytes() == before


def test_counts_outside_the_matrix_are_damage(tmp_path):
    path = tmp_path / "records"
    RecordFile(path, SUBJECT, 3).add(record())
    header, line = path.read_text().splitlines()
    fields = json.loads(line)
    fields["counts"][0] = [[12], [1]]  # of (3 + 1) x 3 entries
    path.write_text(f"{header}\n{json.dumps(fields)}\n")
    with pytest.raises(OptionError, match=r"records, line 2 is damaged \(expected counts of 3 classes\)"):
        RecordFile(path, SUBJECT, 3)


def test_record_of_another_run_is_refused_with_its_line(tmp_path):
    """Two runs that both began in an empty folder append to one file."""
    path = tmp_path / "records"
    first, second = RecordFile(path, SUBJECT, 3), RecordFile(path, {**SUBJECT, "diagnostics": False}, 3)
    first.add(record("a", 0))
    second.add(record("b", 1))
    first.add(record("c", 2))
    before = path.read_text()
    with pytest.raises(OptionError, match=r"records, line 3 is a record of another run .* --overwrite starts over"):
        RecordFile(path, SUBJECT, 3)
    assert path.read_text() == before


def test_record_without_a_digest_is_refused(tmp_path):
    path = tmp_path / "records"
    RecordFile(path, SUBJECT, 3).add(record())
    path.write_text(re.sub(r', "run": "[0-9a-f]{16}"', "", path.read_text()))
    with pytest.raises(OptionError, match=r"records, line 2 is a record of another run \(settings None, expected "):
        RecordFile(path, SUBJECT, 3)


def test_full_disk_names_the_file_and_how_to_continue(tmp_path, monkeypatch):
    file = RecordFile(tmp_path / "records", SUBJECT, 3)
    file.add(record("a"))

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "open", full)
    with pytest.raises(
        OptionError, match=r"cannot write .*records: No space left on device; the 1 images before .*--re"
    ):
        file.add(record("b"))
    assert list(file.records) == ["a"]


def test_records_of_another_file_are_taken_in_once(tmp_path):
    first, second = (RecordFile(tmp_path / name, SUBJECT, 3) for name in ("first", "second"))
    first.add(record("a", 0))
    second.add(record("a", 9))
    second.add(record("b", 1))
    first.take_in(second)
    assert not (tmp_path / "second").exists()
    found = RecordFile(tmp_path / "first", SUBJECT, 3).records
    assert list(found) == ["a", "b"]
    assert_equal(found["a"], record("a", 0))


def test_equal_structures_have_no_differences():
    assert list(differences({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]})) == []


def test_counts_keep_every_entry_of_a_matrix():
    matrix = np.array([[0, 3], [2**40, 0]])
    counts = PixelCounts.of(matrix)
    assert np.array_equal(counts.dense(), matrix)
    assert len(counts.positions) == 2


def test_confusion_matrices_of_all_images_are_added():
    records = [record("a", 0), record("b", 1)]
    assert np.array_equal(sum_confusions(records, 3), records[0].confusion() + records[1].confusion())


def test_predictions_at_pixels_of_no_class_are_kept_apart():
    counts = PixelCounts.of(np.array([[5, 1], [0, 4], [2, 3]]))  # the last row: labels that are no class
    records = [ImageRecord("a", (counts,), [None]), ImageRecord("b", (counts,), [None])]
    assert np.array_equal(counts.dense(), [[5, 1], [0, 4]])
    assert np.array_equal(sum_confusions(records, 2), [[10, 2], [0, 8], [4, 6]])


@pytest.mark.parametrize("changed", ["a.png", "a.txt"])
def test_changed_images_and_labels_are_measured_again(tmp_path, changed):
    dataset, path = LabelledFolder(tmp_path, "ab"), tmp_path / "records"
    file = RecordFile(path, SUBJECT, 3, image_files(dataset))
    file.add(record("a.png"))
    file.add(record("b.png"))
    (tmp_path / changed).write_text("11")
    with pytest.warns(DatasetWarning, match=r"are measured again: a\.png$"):
        again = RecordFile(path, SUBJECT, 3, image_files(dataset))
    assert set(again.records) == {"b.png"}
    again.add(record("a.png", 1))
    assert set(RecordFile(path, SUBJECT, 3, image_files(dataset)).records) == {"a.png", "b.png"}
