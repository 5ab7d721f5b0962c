"""Pictures of an ablation, read back from the figures that are drawn."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from segearth_ov3.errors import FontWarning, OptionError
from segearth_ov3.metrics.ablation import AblationReport, Resampling, VariantResult
from segearth_ov3.metrics.ablation_plots import draw_deltas, draw_sweep, sweep_grids, write_plots
from segearth_ov3.metrics.bootstrap import Interval

BLUE, ORANGE = "#2166ac", "#d95f0e"


def make_variant(
    name: str, delta: Interval | None, sweep: str | None = None, parameters: Mapping[str, Any] | None = None
) -> VariantResult:
    return VariantResult(
        name=name,
        refiners=(),
        settings={},
        mIoU=50.0,
        aAcc=60.0,
        per_class_IoU=(50.0,),
        delta=delta,
        seconds_per_image=None,
        overhead_percent=None,
        diagnostics=(),
        sweep=sweep,
        parameters=dict(parameters or {}),
        significant=delta is not None and delta.excludes_zero,
    )


def make_report(*variants: VariantResult) -> AblationReport:
    return AblationReport(
        dataset="toy",
        config="toy.py",
        images=8,
        classes=("road",),
        variants=(make_variant("baseline", None), *variants),
        one_pass=None,
        resampling=Resampling(),
        device="cpu",
        dtype="float32",
        configuration={},
        versions={},
        commit=None,
        date="",
    )


def make_sweep(deltas: Mapping[tuple[Any, Any], float], name: str = "smoothing") -> AblationReport:
    """A report with a variant for each (weight, size); intervals reach 0.5 to both sides."""
    points = {point: Interval(delta, delta - 0.5, delta + 0.5, 0.5) for point, delta in deltas.items()}
    return make_report(
        *(make_variant(f"{w} {k}", each, name, {"weight": w, "size": k}) for (w, k), each in points.items())
    )


VARIANTS = (
    make_variant("gain", Interval(0.42, 0.1, 0.95, 0.5)),
    make_variant("loss", Interval(-0.3, -0.5, -0.1, 0.5)),
    make_variant("perhaps", Interval(0.2, -0.1, 0.5, 0.5)),
    make_variant("undefined", None),
)


def bars_of(axes) -> list[tuple[float, str, bool]]:
    """Length, colour and whether it is pale, of each bar from top to bottom."""
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return [(bar.get_width(), to_hex(bar.get_facecolor()), bar.get_alpha() < 1) for bar in bars]


def texts_of(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


# bars


def test_bars_show_size_sign_and_whether_they_are_significant():
    (axes,) = draw_deltas(make_report(*VARIANTS)).axes
    assert bars_of(axes) == [(0.42, BLUE, False), (-0.3, ORANGE, False), (0.2, BLUE, True)]


def test_bars_are_named_in_the_order_of_the_report_from_the_top():
    (axes,) = draw_deltas(make_report(*VARIANTS)).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["gain", "loss", "perhaps", "undefined"]
    assert (np.diff(axes.get_yticks()) > 0).all()
    assert axes.yaxis_inverted()


def test_bars_have_their_interval():
    (axes,) = draw_deltas(make_report(*VARIANTS)).axes
    lines = [tuple(line.get_xdata()) for line in axes.lines if line.get_marker() == "|"]
    assert lines == [(0.1, 0.95), (-0.5, -0.1), (-0.1, 0.5)]


def test_numbers_stand_beside_the_bars():
    (axes,) = draw_deltas(make_report(*VARIANTS)).axes
    assert texts_of(axes)[:4] == ["+0.42", "[+0.10, +0.95]", "−0.30", "[−0.50, −0.10]"]


def test_numbers_are_bold_where_significant():
    (axes,) = draw_deltas(make_report(*VARIANTS)).axes
    assert [text.get_weight() for text in axes.texts[::2]] == ["bold", "bold", "normal", "normal"]


def test_variant_without_difference_has_a_dash():
    (axes,) = draw_deltas(make_report(make_variant("undefined", None))).axes
    assert (texts_of(axes)[0], bars_of(axes)) == ("–", [])


def test_interval_beside_its_difference_can_be_drawn():
    (axes,) = draw_deltas(make_report(make_variant("skewed", Interval(0.5, 0.6, 0.9, 0.5)))).axes
    assert tuple(axes.lines[0].get_xdata()) == (0.6, 0.9)


def test_title_says_what_is_compared():
    (axes,) = draw_deltas(make_report(*VARIANTS)).axes
    assert axes.get_title(loc="left") == "toy, 8 images: difference to baseline (50.00 mIoU)"


def test_figure_grows_with_the_number_of_variants():
    small, large = (draw_deltas(make_report(*VARIANTS * factor)).get_figheight() for factor in (1, 5))
    assert large - small == pytest.approx(16 * 0.31)


def test_long_names_are_broken_into_lines():
    name = "smoothing(weight=0.2, kernel_size=5, at=memory) → lowpass(radius=12, alpha=0.2, at=trunk)"
    (axes,) = draw_deltas(make_report(make_variant(name, Interval(1.0, 0.5, 1.5, 0.5)))).axes
    lines = axes.get_yticklabels()[0].get_text().split("\n")
    assert " ".join(lines) == name
    assert max(map(len, lines)) <= 52


def test_endless_names_are_cut():
    (axes,) = draw_deltas(make_report(make_variant("x" * 1000, Interval(1.0, 0.5, 1.5, 0.5)))).axes
    label = axes.get_yticklabels()[0].get_text()
    assert label.count("\n") == 2
    assert label.endswith("x…")


def test_everything_drawn_lies_within_the_picture():
    names = ["a" * 52, "smoothing " * 12, "b"]
    figure = draw_deltas(make_report(*(make_variant(name, Interval(-99.0, -100.0, -9.0, 0.5)) for name in names)))
    figure.canvas.draw()
    box, page = figure.get_tightbbox(), figure.bbox_inches
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= page.width
    assert box.y1 <= page.height


@pytest.mark.parametrize("delta", [0.0, 1e-9, 80.0])
def test_extreme_differences_are_drawn_without_a_warning(delta, tmp_path):
    write_plots(make_report(make_variant("a", Interval(delta, delta, delta, 0.5))), tmp_path)
    assert (tmp_path / "deltas.png").stat().st_size > 0


def test_report_of_the_baseline_alone_is_refused():
    with pytest.raises(OptionError, match="at least one variant besides the baseline, got none"):
        draw_deltas(make_report())


# sweeps


def test_sweep_is_found_as_a_table():
    (grid,) = sweep_grids(make_sweep({(0.1, 3): 0.2, (0.1, 5): 0.8, (0.2, 3): -0.7, (0.2, 5): 0.0}))
    assert grid[:5] == ("smoothing", "weight", (0.1, 0.2), "size", (3, 5))
    assert grid.deltas.tolist() == [[0.2, 0.8], [-0.7, 0.0]]
    assert grid.significant.tolist() == [[False, True], [True, False]]


def test_missing_point_of_a_sweep_is_nan():
    (grid,) = sweep_grids(make_sweep({(0.1, 3): 0.2, (0.1, 5): 0.8, (0.2, 3): -0.7}))
    assert np.isnan(grid.deltas).tolist() == [[False, False], [False, True]]


@pytest.mark.parametrize("value", ["ideal", [1, 2], None, True])
def test_values_of_a_sweep_may_be_of_any_kind(value):
    (grid,) = sweep_grids(make_sweep({("x", 3): 0.2, ("x", 5): 0.8, ("y", 3): 0.1}))
    assert grid.row_values == ("x", "y")
    report = make_report(
        *(
            make_variant(str(i), Interval(1.0 * i, i - 1, i + 1, 0.5), "s", {"a": a, "b": b})
            for i, (a, b) in enumerate([(value, 5), ("other", 5), (value, 7)])
        )
    )
    assert sweep_grids(report)[0].row_values == (value, "other")


def test_parameter_that_does_not_vary_is_left_out():
    points = [{"weight": w, "at": "memory", "size": k} for w in (1, 2) for k in (3, 5)]
    report = make_report(*(make_variant(str(p), Interval(0.0, 0.0, 0.0, 0.5), "s", p) for p in points))
    (grid,) = sweep_grids(report)
    assert (grid.row_name, grid.column_name) == ("weight", "size")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_sweep_over_another_number_of_parameters_has_no_table(count):
    points = [{f"p{axis}": value for axis in range(count)} for value in (1, 2)]
    report = make_report(*(make_variant(str(p), Interval(0.0, 0.0, 0.0, 0.5), "s", p) for p in points))
    assert sweep_grids(report) == []


def test_sweeps_are_kept_apart():
    report = make_report(
        *make_sweep({(1, 3): 0.2, (2, 5): 0.8}, "a").variants[1:],
        *make_sweep({(7, 3): 0.2, (8, 5): 0.8}, "b").variants[1:],
    )
    assert [(grid.name, grid.row_values) for grid in sweep_grids(report)] == [("a", (1, 2)), ("b", (7, 8))]


@pytest.fixture
def sweep_axes():
    """A heat map of 2 × 3 points of which one is missing."""
    deltas = {(0.1, 3): 0.2, (0.1, 5): 0.8, (0.1, 7): -2.0, (0.2, 3): -0.7, (0.2, 5): 0.0}
    (grid,) = sweep_grids(make_sweep(deltas))
    return draw_sweep(grid, "toy").axes[0]


def test_cells_have_their_values(sweep_axes):
    assert texts_of(sweep_axes) == ["+0.20", "+0.80", "−2.00", "−0.70", "0.00", "–"]


def test_cells_are_bold_where_significant(sweep_axes):
    weights = [text.get_weight() for text in sweep_axes.texts]
    assert weights == ["normal", "bold", "bold", "bold", "normal", "normal"]


def test_cell_with_the_largest_difference_is_framed(sweep_axes):
    (frame,) = sweep_axes.patches
    assert (frame.get_xy(), frame.get_fill()) == ((0.5, -0.5), False)


def test_colours_are_symmetric_about_zero(sweep_axes):
    (image,) = sweep_axes.images
    assert (image.norm.vmin, image.norm.vmax) == (-2.0, 2.0)
    assert to_hex(image.to_rgba(0.0)) == "#ffffff"
    assert (to_hex(image.to_rgba(2.0)), to_hex(image.to_rgba(-2.0))) == (BLUE, ORANGE)


def test_axes_are_named_after_the_parameters(sweep_axes):
    assert (sweep_axes.get_xlabel(), sweep_axes.get_ylabel()) == ("size", "weight")
    assert [label.get_text() for label in sweep_axes.get_xticklabels()] == ["3", "5", "7"]
    assert [label.get_text() for label in sweep_axes.get_yticklabels()] == ["0.1", "0.2"]


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_sweep_without_any_difference_is_drawn(value):
    (grid,) = sweep_grids(make_sweep({(1, 3): 1.0, (1, 5): 1.0, (2, 3): 1.0, (2, 5): 1.0}))
    figure = draw_sweep(grid._replace(deltas=np.full((2, 2), value)))
    figure.canvas.draw()
    assert len(figure.axes[0].texts) == 4


# files


def test_files_are_pngs_of_the_bars_and_of_each_sweep(tmp_path):
    paths = write_plots(make_sweep({(1, 3): 1.0, (2, 5): 1.0}, "smoothing: at/memory"), tmp_path)
    assert [path.name for path in paths] == ["deltas.png", "sweep_1_smoothing_at_memory.png"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_missing_letters_are_one_warning(tmp_path):
    """Matplotlib would warn about each letter in each text, with a line of its own code."""
    report = make_report(*(make_variant(f"\ue124\ue125 {i}", None) for i in range(3)))
    with pytest.warns(FontWarning, match="has the letters \ue124\ue125, which are drawn as boxes") as warned:
        write_plots(report, tmp_path)
    assert len(warned) == 1


@pytest.mark.parametrize("name", ["a$b$_c^{", "$", r"\frac", "_hidden", "λ=0.3 → ×", " "])
def test_names_are_not_read_as_mathematics(name):
    report = make_report(
        *(make_variant(name, Interval(1.0, 0.0, 2.0, 0.5), name, {"$a$": i, name: i}) for i in range(2))
    )
    (grid,) = sweep_grids(report)
    for figure in (draw_deltas(report), draw_sweep(grid, name)):
        figure.set_dpi(20)
        figure.canvas.draw()
        assert not [text for text in figure.findobj(Text) if "$" in text.get_text() and text.get_parse_math()]


def test_import_loads_no_matplotlib_and_drawing_no_pyplot():
    code = """
import sys
import segearth_ov3.metrics.ablation_plots as plots
assert "matplotlib" not in sys.modules
import numpy as np
plots.draw_sweep(plots.SweepGrid("s", "a", (1,), "b", (2,), np.ones((1, 1)), np.ones((1, 1), bool))).canvas.draw()
assert "matplotlib.pyplot" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
