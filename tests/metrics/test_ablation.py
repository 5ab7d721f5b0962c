"""The schema of ablation.json and the tables made from it."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re

import numpy as np
import pytest

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.metrics.ablation import (
    AblationReport,
    Diagnostic,
    OnePass,
    Resampling,
    VariantResult,
    VariantRun,
    make_ablation_report,
)
from segearth_ov3.metrics.ablation_tables import (
    format_interval,
    format_signed,
    to_csv,
    to_latex,
    to_markdown,
    write_report,
)
from segearth_ov3.metrics.bootstrap import Interval, paired_bootstrap
from segearth_ov3.metrics.provenance import package_versions
from segearth_ov3.metrics.report import make_report

NAN = float("nan")
CLASSES = ("road", "water", "forêt")  # the last neither occurs nor is predicted
AWKWARD_IN_MARKDOWN = '[λ=0.3]_& 50% #1 \\$x\\$ \\\\ ~^ \\<a>\\|"b" \\*{}, c'
AWKWARD = '[λ=0.3]_& 50% #1 $x$ \\ ~^ <a>|"b" *{}, c'


def make_run(name: str, hits: int, images: int = 24, **fields) -> VariantRun:
    """Images in which `hits` + 0 to 7 of 30 pixels of road are right, and 10 of 20 of water."""
    confusions = np.zeros((images, 3, 3), dtype=np.int64)
    for image, confusion in enumerate(confusions):
        right = hits + image % 8
        confusion[:2, :2] = [[right, 30 - right], [10, 10]]
    return VariantRun(name, confusions, **({"image_seconds": [0.5] * images} | fields))


def make_ablation(baseline: VariantRun, *variants: VariantRun, **fields) -> AblationReport:
    setup = {"dataset": "toy", "config": "toy.py", "device": "cpu (x86_64)", "dtype": "float32", "configuration": {}}
    return make_ablation_report(baseline, variants, CLASSES, **(setup | fields))


@pytest.fixture(scope="module")
def report() -> AblationReport:
    """A baseline, a variant that is better in every image, and one that is equal and has an awkward name."""
    return make_ablation(
        make_run("baseline", 15, diagnostics={"attention_kl": (1.25, 1.25)}),
        make_run(
            "smooth",
            18,
            image_seconds=[0.75, None, *[0.5] * 22],
            refiners=[{"type": "smoothing", "weight": 0.2, "at": "memory"}, {"type": "lowpass"}],
            settings={"prob_threshold": 0.4},
            diagnostics={"attention_kl": (1.25, 1.125), "contrast": (NAN, None)},
            sweep="smoothing",
            parameters={"weight": 0.2},
        ),
        make_run(AWKWARD, 15, image_seconds=[None] * 24),
        one_pass=OnePass.of(9.0, 4.0),
        configuration={"prob_threshold": 0.5},
    )


def markdown_cells(text: str, heading: str) -> list[list[str]]:
    """Cells of the table that begins with a heading."""
    lines = text[text.index(heading) :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in (lines[0], *lines[2:])]


# the report


def test_scores_are_those_of_an_evaluation(report):
    run = make_run("smooth", 18)
    expected = make_report(
        run.confusions.sum(axis=0), CLASSES, dataset="", image_seconds=[], device="", dtype="", configuration={}
    )
    variant = report.variants[1]
    assert (variant.mIoU, variant.aAcc) == (expected.mIoU, expected.aAcc)
    assert variant.per_class_IoU == tuple(entry.IoU for entry in expected.per_class)


def test_variants_keep_their_order_after_the_baseline(report):
    assert [variant.name for variant in report.variants] == ["baseline", "smooth", AWKWARD]


def test_delta_is_the_difference_of_the_scores(report):
    baseline, variant, _ = report.variants
    assert variant.delta.delta == pytest.approx(variant.mIoU - baseline.mIoU, abs=1e-12)


def test_interval_is_that_of_the_bootstrap_with_the_settings_given():
    runs = make_run("a", 15), make_run("b", 18)
    resampling = Resampling(samples=50, seed=4, level=0.8)
    expected = paired_bootstrap(runs[0].confusions, runs[1].confusions, samples=50, seed=4, level=0.8)
    report = make_ablation(*runs, resampling=resampling)
    assert (report.variants[1].delta, report.resampling) == (expected, resampling)


def test_baseline_has_neither_difference_nor_overhead(report):
    assert (report.variants[0].delta, report.variants[0].overhead_percent) == (None, None)


def test_overhead_is_over_the_images_timed_on_both_sides(report):
    assert report.variants[1].overhead_percent == pytest.approx(100 * (11.75 / 11.5 - 1))


def test_image_whose_baseline_was_not_timed_does_not_count() -> None:
    baseline = make_run("a", 15, image_seconds=[None, *[0.5] * 23])
    variant = make_run("b", 15, image_seconds=[9.0, *[1.0] * 23])
    assert make_ablation(baseline, variant).variants[1].overhead_percent == pytest.approx(100)


def test_variant_without_times_has_no_overhead(report):
    assert (report.variants[2].seconds_per_image, report.variants[2].overhead_percent) == (None, None)


def test_diagnostics_that_are_not_defined_are_none(report):
    assert report.variants[1].diagnostics == (
        Diagnostic("attention_kl", 1.25, 1.125),
        Diagnostic("contrast", None, None),
    )


def test_images_without_labels_give_no_difference():
    runs = [VariantRun(name, np.zeros((2, 3, 3), dtype=np.int64), [None, None]) for name in ("a", "b")]
    variant = make_ablation(*runs).variants[1]
    assert (variant.mIoU, variant.delta, variant.p_holm, variant.significant) == (None, None, None, False)


def test_ratio_says_how_many_baselines_one_pass_costs(report):
    assert report.one_pass == OnePass(total_seconds=9.0, baseline_seconds=4.0, ratio=2.25)


def test_report_says_what_the_numbers_depend_on(report):
    assert (report.images, report.classes, report.configuration) == (24, CLASSES, {"prob_threshold": 0.5})
    assert report.versions == package_versions()


@pytest.mark.parametrize(
    ("refiners", "settings", "expected"),
    [
        ([], {}, "no refiner"),
        ([{"type": "lowpass", "radius": 12, "at": "trunk"}], {}, "lowpass(radius=12, at=trunk)"),
        ([{"type": "a"}, {"type": "b", "x": 1}], {"y": 2, "z": None}, "a() → b(x=1), y=2, z=None"),
        ([], {"prob_threshold": 0.3}, "no refiner, prob_threshold=0.3"),
    ],
)
def test_description_shows_chain_and_settings(refiners, settings, expected):
    run = make_run("v", 15, refiners=refiners, settings=settings)
    assert make_ablation(make_run("a", 15), run).variants[1].description == expected


def test_two_variants_of_one_name_are_refused():
    with pytest.raises(OptionError, match="a name of its own for each variant, got b more than once"):
        make_ablation(make_run("a", 15), make_run("b", 15), make_run("b", 16))


def test_variant_of_other_images_is_named():
    other = make_run("b", 15)
    other.confusions[3, 0, 0] += 1
    with pytest.raises(OptionError, match=r"variant 'b': expected equal labels.*image 3"):
        make_ablation(make_run("a", 15), other)


@pytest.mark.parametrize("change", [{"confusions": np.zeros((7, 3, 3), dtype=np.int64)}, {"image_seconds": [1.0]}])
def test_variant_with_another_number_of_images_is_named(change):
    with pytest.raises(ShapeError, match=r"variant 'b': expected confusion matrices \(I, C, C\) = \(24, 3, 3\)"):
        make_ablation(make_run("a", 15), dataclasses.replace(make_run("b", 15), **change))


def test_number_of_class_names_is_checked():
    with pytest.raises(ShapeError, match=r"variant 'a'.*\(24, 2, 2\).*got \(24, 3, 3\)"):
        make_ablation_report(
            make_run("a", 15), [], ["x", "y"], dataset="", config="", device="", dtype="", configuration={}
        )


# JSON


def test_json_round_trip_changes_nothing(report):
    assert AblationReport.from_json(report.to_json()) == report


def test_every_field_is_in_the_json(report):
    fields = json.loads(report.to_json())
    assert set(fields) == {field.name for field in dataclasses.fields(AblationReport)}
    assert set(fields["variants"][0]) == {field.name for field in dataclasses.fields(VariantResult)}


def test_scores_that_are_not_defined_are_null_in_json(report):
    entry = json.loads(report.to_json())["variants"][1]
    assert entry["per_class_IoU"][2] is None


def test_json_keeps_letters_readable(report):
    assert "forêt" in report.to_json()


@pytest.mark.parametrize("text", ["{}", "[]", '{"schema": "segearth-ov3/results/1"}'])
def test_file_of_another_schema_is_refused(text):
    with pytest.raises(OptionError, match="expected an ablation file of schema 'segearth-ov3/ablation/2', got"):
        AblationReport.from_json(text)


@pytest.mark.parametrize("name", ["dataset", "variants", "one_pass"])
def test_file_with_a_missing_field_is_refused(report, name):
    fields = json.loads(report.to_json())
    del fields[name]
    with pytest.raises(OptionError, match=f"a field is off: .*{name}"):
        AblationReport.from_json(json.dumps(fields))


def test_file_with_an_unknown_field_of_a_variant_is_refused(report):
    fields = json.loads(report.to_json())
    fields["variants"][1]["speed"] = 1
    with pytest.raises(OptionError, match=r"a field is off: .*speed"):
        AblationReport.from_json(json.dumps(fields))


def test_text_that_is_not_json_is_refused():
    with pytest.raises(OptionError, match="expected an ablation file, got text that is not JSON"):
        AblationReport.from_json("mIoU 47.4")


# Markdown


@pytest.mark.parametrize(
    ("number", "text"), [(0.4249, "+0.42"), (-0.1, "−0.10"), (0.0, "0.00"), (0.004, "+0.00"), (-0.004, "−0.00")]
)
def test_differences_have_a_sign_and_two_decimals(number, text):
    assert format_signed(number) == text


def test_interval_is_written_in_brackets():
    assert format_interval(Interval(0.42, -0.1, 0.95, 0.1)) == "[−0.10, +0.95]"


def test_markdown_has_a_row_per_variant_the_baseline_first(report):
    assert markdown_cells(to_markdown(report), "| Variant") == [
        ["Variant", "mIoU", "Δ mIoU [95 %]", "aAcc", "s / image", "Overhead %"],
        ["baseline", "39.00", "–", "57.00", "0.500", "–"],
        ["smooth", "44.42", "**+5.42 [+5.31, +5.53]**", "63.00", "0.511", "+2.17"],
        [AWKWARD_IN_MARKDOWN, "39.00", "0.00 [0.00, 0.00]", "57.00", "–", "–"],
    ]


def test_markdown_has_the_iou_of_each_class(report):
    page = to_markdown(report)
    assert markdown_cells(page[page.index("## IoU per class") :], "| Variant") == [
        ["Variant", *CLASSES, "mean"],
        ["baseline", "46.25", "31.75", "–", "39.00"],
        ["smooth", "53.75", "35.09", "–", "44.42"],
        [AWKWARD_IN_MARKDOWN, "46.25", "31.75", "–", "39.00"],
    ]


def test_markdown_has_the_diagnostics_before_and_after(report):
    page = to_markdown(report)
    assert markdown_cells(page[page.index("## Tokens") :], "| Variant") == [
        ["Variant", "attention_kl", "contrast"],
        ["baseline", "1.25 → 1.25", "– → –"],
        ["smooth", "1.25 → 1.125", "– → –"],
        [AWKWARD_IN_MARKDOWN, "– → –", "– → –"],
    ]


def test_markdown_without_diagnostics_has_no_table_of_them():
    assert "## Tokens" not in to_markdown(make_ablation(make_run("a", 15)))


def test_markdown_says_what_each_variant_is(report):
    line = "- smooth: smoothing(weight=0.2, at=memory) → lowpass(), prob_threshold=0.4"
    assert line in to_markdown(report).splitlines()


def test_significant_loss_is_bold_too():
    page = to_markdown(make_ablation(make_run("a", 18), make_run("b", 15)))
    assert markdown_cells(page, "| Variant")[2][2].startswith("**−5.42 [−")


def test_nothing_is_bold_below_twenty_images():
    """However clear the difference is in them."""
    few, enough = (make_ablation(make_run("a", 15, images), make_run("b", 18, images)) for images in (19, 20))
    assert few.variants[1].delta.excludes_zero
    assert (few.variants[1].significant, enough.variants[1].significant) == (False, True)
    assert "**+" not in to_markdown(few)
    assert "No difference is bold: that takes at least 20 images." in to_markdown(few)
    assert "textbf" not in to_latex(few)
    assert "**+" in to_markdown(enough)


def noisy_run(name: str, seed: int, gain: int = 0) -> VariantRun:
    """Forty images with a random number of right pixels of road."""
    confusions = np.zeros((40, 3, 3), dtype=np.int64)
    rights = np.random.default_rng(seed).integers(5, 25, 40) + gain
    confusions[:, 0, 0], confusions[:, 0, 1] = rights, 30 - rights
    confusions[:, 1, 1] = 20
    return VariantRun(name, confusions, [None] * 40)


def test_difference_of_one_row_among_many_is_corrected_for_their_number():
    """A row of p 0.01 to 0.05 is bold alone and not among twenty."""
    variants = [noisy_run(f"v{seed}", seed) for seed in range(1, 21)]
    table = make_ablation(noisy_run("a", 108), *variants)
    by_chance = [entry for entry in table.variants[1:] if entry.delta.p <= 0.05]
    assert by_chance  # what the test is about occurs
    for entry in by_chance:
        (variant,) = (run for run in variants if run.name == entry.name)
        assert make_ablation(noisy_run("a", 108), variant).variants[1].significant
        assert (entry.p_holm > entry.delta.p, entry.significant) == (True, False)
    assert "is significant after Holm's correction for 20 rows" in to_markdown(table)


def test_too_few_draws_for_the_number_of_rows_are_reported():
    rows = [make_run(f"v{number}", 15 + number % 3) for number in range(3)]
    page = to_markdown(make_ablation(make_run("a", 15), *rows, resampling=Resampling(samples=50)))
    assert "No difference can be bold: with 3 rows and 50 draws, Holm's correction gives p of 0.059 or more" in page


def test_single_row_has_its_own_sentence(report):
    page = to_markdown(make_ablation(make_run("a", 15), make_run("b", 18)))
    assert "Bold: the interval excludes 0, which happens by chance in about 5 % of such comparisons or fewer." in page


def test_failed_variant_has_an_empty_row_and_its_reason_below():
    failed = VariantRun("broken", None, [], failure="did not converge (on a.png)")
    report = make_ablation(make_run("a", 15), failed, make_run("b", 18))
    entry = report.variants[1]
    assert (entry.mIoU, entry.delta, entry.per_class_IoU, entry.significant) == (None, None, (None,) * 3, False)
    assert report.variants[2].p_holm == pytest.approx(2 * report.variants[2].delta.p)  # it was tried, so it counts
    page = to_markdown(report)
    assert markdown_cells(page, "| Variant")[2] == ["broken", "–", "–", "–", "–", "–"]
    assert "broken failed: did not converge (on a.png)." in page
    assert list(csv.DictReader(io.StringIO(to_csv(report))))[1]["failure"] == "did not converge (on a.png)"
    assert AblationReport.from_json(report.to_json()) == report


def test_baseline_that_failed_is_refused():
    with pytest.raises(OptionError, match="expected a baseline with counts, got one that failed: no memory"):
        make_ablation(VariantRun("a", None, [], failure="no memory"))


@pytest.mark.parametrize("render", [to_markdown, to_latex])
@pytest.mark.parametrize(
    "words",
    [
        "studentised bootstrap over 24 images (5000 draws, seed 0)",
        "Bold: the difference is significant after Holm's correction for 2 rows; if no row had any effect",
        "All 3 rows took 9.0 s in one pass, 2.25 times the 4.0 s of the first row alone.",
        "toy.py; cpu (x86",
    ],
)
def test_tables_say_how_they_are_to_be_read(report, render, words):
    assert words in render(report)


@pytest.mark.parametrize("render", [to_markdown, to_latex])
def test_cost_that_was_not_measured_is_not_mentioned(render):
    assert "one pass" not in render(make_ablation(make_run("a", 15)))


def test_tables_come_from_the_stored_report_alone(report):
    stored = AblationReport.from_json(report.to_json())
    assert [render(stored) for render in (to_markdown, to_csv, to_latex)] == [
        render(report) for render in (to_markdown, to_csv, to_latex)
    ]


# CSV


def test_csv_has_a_line_per_variant_and_empty_cells_where_nothing_is_defined(report):
    rows = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert [row["variant"] for row in rows] == ["baseline", "smooth", AWKWARD]
    assert rows[1] == {
        "variant": "smooth",
        "refiners": '[{"type": "smoothing", "weight": 0.2, "at": "memory"}, {"type": "lowpass"}]',
        "settings": '{"prob_threshold": 0.4}',
        "mIoU": "44.42",
        "aAcc": "63.00",
        "delta": "5.42",
        "delta_low": "5.31",
        "delta_high": "5.53",
        "p": "0.0002",
        "p_holm": "0.0003999",
        "significant": "yes",
        "failure": "",
        "seconds_per_image": "0.511",
        "overhead_percent": "2.17",
        "IoU road": "53.75",
        "IoU water": "35.09",
        "IoU forêt": "",
        "attention_kl before": "1.25",
        "attention_kl after": "1.125",
        "contrast before": "",
        "contrast after": "",
    }


def test_csv_leaves_the_comparison_of_the_baseline_empty(report):
    baseline = next(csv.DictReader(io.StringIO(to_csv(report))))
    names = ("delta", "delta_low", "delta_high", "p", "p_holm", "significant", "overhead_percent")
    assert [baseline[name] for name in names] == [""] * 7


def test_csv_says_no_where_nothing_differs(report):
    row = list(csv.DictReader(io.StringIO(to_csv(report))))[2]
    assert (row["significant"], row["p"], row["p_holm"]) == ("no", "1", "1")


# LaTeX


def latex_rows(text: str) -> list[list[str]]:
    """Cells of the rows between the rules."""
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    return [re.split(r"(?<!\\)& ?", line.removesuffix(r" \\")) for line in body.splitlines() if line.endswith(r" \\")]


def test_latex_has_a_row_per_variant_the_baseline_first(report):
    assert [[cell.strip() for cell in row] for row in latex_rows(to_latex(report))][1:3] == [
        ["baseline", "39.00", "–", "–", "57.00", "0.500", "–"],
        ["smooth", "44.42", r"\textbf{+5.42}", r"\textbf{{[}+5.31, +5.53{]}}", "63.00", "0.511", "+2.17"],
    ]


def test_latex_has_as_many_cells_in_each_row_as_columns(report):
    text = to_latex(report)
    columns = re.search(r"\\begin\{tabular\}\{(lr+)\}", text).group(1)
    assert {len(row) for row in latex_rows(text)} == {len(columns)}


def test_latex_closes_what_it_opens(report):
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", to_latex(report)):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []


def test_latex_braces_are_balanced(report):
    braces = re.findall(r"(?<!\\)[{}]", to_latex(report))
    assert braces.count("{") == braces.count("}")


def test_latex_escapes_names(report):
    assert latex_rows(to_latex(report))[3][0].strip() == (
        r"{[}$\lambda$=0.3{]}\_\& 50\% \#1 \$x\$ \textbackslash{} \textasciitilde{}\textasciicircum{} "
        r"\textless{}a\textgreater{}\textbar{}''b'' {*}\{\}, c"
    )


@pytest.mark.parametrize("start", ["[", "*"])
def test_latex_row_does_not_begin_with_an_option_of_the_line_break_before(start):
    text = to_latex(make_ablation(make_run("a", 15), make_run(f"{start}b", 15)))
    assert latex_rows(text)[2][0].startswith(f"{{{start}}}b")


def test_latex_writes_minus_signs_as_mathematics():
    text = to_latex(make_ablation(make_run("a", 18), make_run("b", 15)))
    assert latex_rows(text)[2][2].strip() == r"\textbf{$-$5.42}"


def test_latex_needs_no_package_for_letters(report):
    assert set(re.findall(r"[^\x00-\x7f]", to_latex(report))) <= {"–"}  # in every encoding of pdflatex


# files


def test_report_is_written_in_four_forms(report, tmp_path):
    paths = write_report(report, tmp_path)
    assert [path.name for path in paths] == ["ablation.json", "ablation.md", "ablation.csv", "ablation.tex"]
    assert [path.read_text(encoding="utf-8") for path in paths] == [
        report.to_json(),
        to_markdown(report),
        to_csv(report),
        to_latex(report),
    ]


def test_writing_leaves_nothing_else_behind(report, tmp_path):
    paths = write_report(report, tmp_path)
    write_report(report, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
