"""The schema of results.json and the table made from it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from segearth_ov3.errors import OptionError
from segearth_ov3.metrics.provenance import checkout_commit, package_versions
from segearth_ov3.metrics.report import Report, choose_headline, make_report, to_markdown
from segearth_ov3.version import __version__

CONFUSION = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])


@pytest.fixture
def report() -> Report:
    """A report with one class that does not occur."""
    return make_report(
        CONFUSION,
        ["road", "water", "forêt"],
        dataset="toy",
        image_seconds=[1.0, 2.0, None, 6.0],
        device="cpu (x86_64)",
        dtype="float32",
        configuration={"prob_threshold": 0.5, "window": None},
    )


def test_scores_are_in_per_cent_and_not_rounded(report):
    assert report.mIoU == pytest.approx(100 * (6 / 9 + 3 / 6) / 2, abs=1e-12)
    assert report.per_class[0].IoU == pytest.approx(100 * 6 / 9, abs=1e-12)


def test_scores_that_are_not_defined_are_null_in_json(report):
    entry = json.loads(report.to_json())["per_class"][2]
    assert (entry["IoU"], entry["Acc"], entry["Precision"], entry["Fscore"]) == (None, None, None, None)


def test_report_of_nothing_is_valid_json():
    empty = make_report(
        np.zeros((1, 1), dtype=np.int64), ["a"], dataset="d", image_seconds=[], device="", dtype="", configuration={}
    )
    fields = json.loads(empty.to_json())
    assert (fields["mIoU"], fields["aAcc"], fields["seconds_per_image"], fields["images"]) == (None, None, None, 0)


def test_json_round_trip_changes_nothing(report):
    assert Report.from_json(report.to_json()) == report


def test_json_has_one_line_per_row_of_the_matrix(report):
    assert "    [6, 2, 0],\n    [1, 3, 0],\n    [0, 0, 0]\n" in report.to_json()


def test_json_keeps_letters_readable(report):
    assert "forêt" in report.to_json()


def test_pixels_of_each_class_are_stated(report):
    assert [(entry.label_pixels, entry.predicted_pixels) for entry in report.per_class] == [(8, 7), (4, 5), (0, 0)]


def test_times_are_mean_and_median_of_the_measured_images(report):
    assert (report.images, report.seconds_per_image, report.seconds_per_image_median) == (4, 3.0, 2.0)


@pytest.mark.parametrize("text", ["{}", "[]", '{"schema": "segearth-ov3/results/0"}'])
def test_file_of_another_schema_is_refused(text):
    with pytest.raises(OptionError, match="expected a results file of schema"):
        Report.from_json(text)


def test_file_with_a_missing_field_is_refused(report):
    fields = json.loads(report.to_json())
    del fields["mIoU"]
    with pytest.raises(OptionError, match="expected a results file"):
        Report.from_json(json.dumps(fields))


def test_text_that_is_not_json_is_refused():
    with pytest.raises(OptionError, match="not JSON"):
        Report.from_json("mIoU 47.4")


def test_result_is_headed_by_the_iou_of_the_class_named():
    binary = make_report(
        CONFUSION[:2, :2],
        ["no", "yes"],
        dataset="d",
        image_seconds=[],
        device="",
        dtype="",
        configuration={},
        headline_class="yes",
    )
    assert binary.headline == ("IoU yes", pytest.approx(100 * 3 / 6))
    assert binary.foreground_IoU == binary.per_class[1].IoU
    assert "d: IoU yes 50.00, mIoU 58.33" in to_markdown(binary)


@pytest.mark.parametrize(
    ("classes", "wanted", "expected"),
    [
        (["background", "building"], None, "building"),
        (["building", "Background"], None, "building"),
        (["grass", "building"], None, None),
        (["background", "clutter"], None, None),
        (["background", "building", "road"], None, None),
        (["grass", "building"], "grass", "grass"),
        (["background", "building"], "mIoU", None),
    ],
)
def test_headline_is_chosen_by_name_or_option(classes, wanted, expected):
    assert choose_headline(classes, wanted) == expected


def test_headline_that_is_no_class_is_refused():
    with pytest.raises(OptionError, match="headline: expected mIoU or one of grass, building, got 'roof'"):
        choose_headline(["grass", "building"], "roof")


def test_more_classes_are_headed_by_the_mean(report):
    assert report.headline == ("mIoU", report.mIoU)
    assert report.foreground_IoU is None


def test_part_and_deviations_are_in_file_and_table(report):
    part = dataclasses.replace(report, images_of=9, deviations=("4 of 9 images", "corrupted by blur:1"))
    assert Report.from_json(part.to_json()) == part
    lines = to_markdown(part).splitlines()
    assert "on 4 of 9 images; cpu" in lines[-3]
    assert lines[-1] == "Not comparable with published scores: 4 of 9 images; corrupted by blur:1."


def test_wrong_number_of_class_names_is_refused():
    with pytest.raises(OptionError, match=r"expected 3 class names.*got 2"):
        make_report(CONFUSION, ["a", "b"], dataset="", image_seconds=[], device="", dtype="", configuration={})


def test_table_has_a_row_per_class_and_the_means(report):
    lines = to_markdown(report).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert cells == [
        ["Class", "IoU", "Acc", "Precision", "F-score", "Label share"],
        ["road", "66.67", "75.00", "85.71", "80.00", "66.67"],
        ["water", "50.00", "75.00", "60.00", "66.67", "33.33"],
        ["forêt", "–", "–", "–", "–", "0.00"],
        ["**mean**", "58.33", "75.00", "–", "73.33", ""],
    ]


def test_table_lines_are_equally_long(report):
    assert len({len(line) for line in to_markdown(report).splitlines() if line.startswith("|")}) == 1


def test_table_names_set_device_and_speed(report):
    last = to_markdown(report).splitlines()[-1]
    assert last == ("toy: mIoU 58.33, aAcc 75.00, mFscore 73.33 on 4 images; cpu (x86_64), float32, 3.000 s per image")


def test_versions_name_python_torch_and_this_package(report):
    assert package_versions()["segearth_ov3"] == __version__
    assert {"python", "torch", "numpy"} <= set(report.versions)


def test_folder_that_is_no_checkout_has_no_commit(tmp_path):
    assert checkout_commit(tmp_path) is None


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_commit_of_a_checkout_says_whether_files_are_changed(tmp_path):
    def git(*arguments: str) -> str:
        options = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        command = ["git", *options, "-C", str(tmp_path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init")
    assert checkout_commit(tmp_path) is None  # no commit yet
    Path(tmp_path, "a.txt").write_text("a")
    git("add", "a.txt")
    git("commit", "-m", "a")
    head = git("rev-parse", "HEAD")
    assert checkout_commit(tmp_path) == head
    Path(tmp_path, "a.txt").write_text("b")
    assert checkout_commit(tmp_path) == f"{head}-dirty"


def test_every_field_is_in_the_json(report):
    assert set(json.loads(report.to_json())) == {field.name for field in dataclasses.fields(Report)}
