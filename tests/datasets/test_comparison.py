"""The page of many results: every number from a report or from the published scores, and nothing hidden."""

from __future__ import annotations

import re

import numpy as np
import pytest

from segearth_ov3.datasets.comparison import comparison_page, group_average
from segearth_ov3.datasets.published import AVERAGES, PUBLISHED, SEMANTIC_EIGHT
from segearth_ov3.errors import OptionError
from segearth_ov3.metrics.report import Report, make_report


def make(name: str, hits: int = 6, classes: int = 3, **changes: object) -> Report:
    """A report whose mIoU depends on `hits`."""
    confusion = np.diag([hits] * classes)
    confusion[0, 1] = 4
    given = {
        "dataset": name,
        "image_seconds": [0.5, 1.0],
        "device": "cpu (x86_64)",
        "dtype": "float32",
        "configuration": {"checkpoint": "sam3.pt", "checkpoint_sha256": "ab12", "window": None, "stride": None},
        "headline_class": "building" if classes == 2 else None,
    }
    return make_report(confusion, ["background", "building", "c"][:classes], **{**given, **changes})


def cells(page: str, start: str) -> list[str]:
    """Cells of the first table row that begins with a text."""
    row = next(line for line in page.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def eight() -> list[Report]:
    return [make(name, hits=number + 3) for number, name in enumerate(SEMANTIC_EIGHT)]


def test_row_of_a_set_has_its_scores():
    report = make("loveda")
    row = cells(comparison_page([report]), "loveda")
    assert row == ["loveda", "2", "whole", "mIoU", f"**{report.mIoU:.2f}**", *row[5:8], "0.750"]
    assert row[5:8] == [f"{value:.2f}" for value in (report.mIoU, report.aAcc, report.mFscore)]


def test_binary_set_is_headed_by_the_iou_of_its_foreground():
    report = make("whu_aerial", classes=2)
    page = comparison_page([report])
    assert cells(page, "whu_aerial")[3:6] == ["IoU building", f"**{600 / 10:.2f}**", f"{report.mIoU:.2f}"]
    assert cells(page, "SegEarth-OV3") == ["SegEarth-OV3", "86.9 [Q]"]
    assert cells(page, "**ours**") == ["**ours**", "**60.00**"]


def test_unknown_number_of_images_stands_in_the_row():
    page = comparison_page([make("gf_road", classes=2, images_of="unknown", deviations=["2 images, and ..."])])
    assert cells(page, "gf_road [1]")[1] == "2 of unknown"
    assert "- [1] gf_road is not comparable with published scores: 2 images, and ...." in page


def test_absent_sets_are_listed_without_being_failures():
    page = comparison_page([make("loveda")], {}, {"segearth-ov3_vdd": "data/VDD"})
    assert "- segearth-ov3_vdd not found: no folder data/VDD" in page
    assert "failed" not in page


def test_windows_stand_in_the_row():
    settings = {"checkpoint": "a", "checkpoint_sha256": "b", "window": 512, "stride": 341}
    assert cells(comparison_page([make("loveda", configuration=settings)]), "loveda")[2] == "512 / 341"


def test_average_over_eight_is_given_where_all_are_there():
    reports = eight()
    mean = np.mean([report.mIoU for report in reports])
    assert group_average({report.dataset: report for report in reports}, "semantic") == pytest.approx(mean, abs=1e-9)
    page = comparison_page(reports)
    assert f"- Average mIoU over the eight semantic sets: **{mean:.2f}**." in page
    assert cells(page, "**ours**")[-1] == f"**{mean:.2f}**"
    assert cells(page, "ProC-SAM3")[-1] == "56.1 [P]"
    assert AVERAGES["semantic"][0].score == 53.4
    assert cells(page, "SegEarth-OV3  ")[-1] == "53.4 [Q]"


def test_average_over_fewer_is_labelled_and_names_the_missing():
    reports = eight()[:6]
    page = comparison_page(reports)
    mean = np.mean([report.mIoU for report in reports])
    assert "No average over the eight semantic sets: udd5, vdd missing." in page
    assert f"Mean mIoU over the 6 there (openearthmap, loveda, isaid, potsdam, vaihingen, uavid): {mean:.2f}" in page
    assert "average" not in cells(page, "mIoU, eight semantic sets")
    assert group_average({report.dataset: report for report in reports}, "semantic") is None


def test_average_of_results_that_are_not_comparable_says_so():
    reports = eight()
    reports[2] = make("isaid", deviations=["2 of 9 images"])
    assert "**; not comparable, see the notes on isaid." in comparison_page(reports)


def test_sets_of_no_group_have_no_average():
    assert "verage" not in comparison_page([make("dubai")])


def test_deviations_stand_in_numbered_notes():
    reports = [make("dubai"), make("loveda", images_of=9, deviations=["2 of 9 images", "corrupted by haze:3"])]
    page = comparison_page([*reports, make("potsdam", deviations=["window 8 (published None)"])])
    assert cells(page, "loveda [1]")[1] == "2 of 9"
    assert "- [1] loveda is not comparable with published scores: 2 of 9 images; corrupted by haze:3." in page
    assert "- [2] potsdam is not comparable with published scores: window 8 (published None)." in page
    assert cells(page, "mIoU, eight semantic sets")[1:] == ["loveda [1]", "potsdam [2]"]
    assert "[3]" not in page


@pytest.mark.parametrize("name", ["loveda", "potsdam", "uavid", "whu_aerial", "voc21"])
def test_every_published_score_of_a_set_is_on_the_page(name):
    metric = "IoU" if name == "whu_aerial" else "mIoU"
    page = comparison_page([make(name, classes=2 if metric == "IoU" else 3)])
    scores = [score for score in PUBLISHED[name] if score.metric == metric]
    printed = re.findall(r"(\d+\.\d+) \[([PQM])\]", page)
    assert sorted(printed) == sorted((str(score.score), score.grade) for score in scores)
    for score in scores:
        assert score.source in page
        assert score.remark in page


def test_trained_methods_come_last():
    page = comparison_page([make("loveda")])
    rows = [line.split("|")[1].strip() for line in page.splitlines() if re.search(r"\[[PQM]\]", line)]
    trained = [row.endswith("(trained)") for row in rows]
    assert any(trained)
    assert trained == sorted(trained)
    assert rows[0] == "SegEarth-OV3"


def test_set_without_published_scores_has_no_table_of_them():
    assert "Beside published scores" not in comparison_page([make("dubai")])


def test_failed_sets_are_named_with_the_reason():
    page = comparison_page([make("dubai")], {"segearth-ov3_gid": "no such folder: data/GID"})
    assert "- **segearth-ov3_gid failed**: no such folder: data/GID" in page
    assert "- **gid failed**: x" in comparison_page([], {"gid": "x"})


def test_weights_and_device_are_named_once_for_sets_that_share_them():
    page = comparison_page([make("dubai"), make("loveda"), make("potsdam", device="cuda:0 (H200)")])
    assert "- dubai, loveda: weights sam3.pt (sha256 ab12); cpu (x86_64), float32; " in page
    assert "- potsdam: weights sam3.pt (sha256 ab12); cuda:0 (H200), float32; " in page


def test_lines_of_each_table_are_equally_long():
    page = comparison_page([make("loveda"), make("dubai"), make("whu_aerial", classes=2)])
    for table in re.findall(r"(?:^\|.*\n)+", page, flags=re.MULTILINE):
        assert len({len(line) for line in table.splitlines()}) == 1


def test_two_results_of_one_set_are_refused():
    with pytest.raises(OptionError, match="expected one result per set, got loveda, loveda"):
        comparison_page([make("loveda"), make("loveda")])
