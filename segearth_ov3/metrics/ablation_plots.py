"""Pictures of an ablation: a bar of the difference for each variant, and a heat map for each two-parameter sweep.

    smoothing        ├■■■■──┤  +0.42 [−0.10, +0.95]          size   3      5      7
    lowpass    ├─■■─┤■│        −0.21 [−0.30, −0.12]   weight 0.1  +0.10  +0.22  −0.05
                      0                                      0.2  +0.31 [+0.42] −0.40

Blue is a gain, orange a loss; pale bars are not significant, see `metrics.ablation`. Figures are made without pyplot
and leave no state behind.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..atomic import complete_or_absent
from ..errors import OptionError
from ..fonts import plot_fonts
from .ablation import AblationReport, VariantResult
from .ablation_tables import format_interval, format_signed
from .confusion import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GAIN, _LOSS, _INK, _GRID = "#2166ac", "#d95f0e", "#202024", "#d8d8dc"
_PALE = 0.35  # opacity of bars whose difference is not significant
_NAME_LETTERS = 52  # in a line
_NAME_LINES = 3
_DPI = 150


class SweepGrid(NamedTuple):
    """The variants of a sweep over two parameters, as a table.

    Attributes:
        name: Of the sweep.
        row_name, column_name: The two parameters.
        row_values, column_values: Their values (R,) and (C,) in the order given.
        deltas: Difference to the baseline in points of mIoU (R, C); NaN where there is no variant.
        significant: Whether it is significant (R, C).
    """

    name: str
    row_name: str
    row_values: tuple[Any, ...]
    column_name: str
    column_values: tuple[Any, ...]
    deltas: FloatArray
    significant: np.ndarray


def sweep_grids(report: AblationReport) -> list[SweepGrid]:
    """Find the sweeps in which exactly two parameters vary.

    Args:
        report: Variants of one sweep have the same `sweep` and their point in `parameters`.

    Returns:
        One table for each, in the order of the report.
    """
    sweeps: dict[str, list[VariantResult]] = {}
    for variant in report.variants:
        if variant.sweep is not None:
            sweeps.setdefault(variant.sweep, []).append(variant)
    grids = (_grid(name, variants) for name, variants in sweeps.items())
    return [grid for grid in grids if grid is not None]


def draw_deltas(report: AblationReport) -> Figure:
    """Draw the difference of each variant to the baseline as a horizontal bar with its interval.

    Args:
        report: Variants are drawn from top to bottom in its order.

    Returns:
        A figure that grows with the number of variants.

    Raises:
        OptionError: There is nothing but the baseline.
    """
    baseline, *variants = report.variants
    if not variants:
        raise OptionError("expected at least one variant besides the baseline, got none")
    names = [_wrapped(variant.name) for variant in variants]
    heights_in = np.array([0.16 + 0.15 * (name.count("\n") + 1) for name in names])
    bottoms_in = heights_in.cumsum()
    middles_in = bottoms_in - heights_in / 2
    figure, axes = _figure(10, 1.3 + bottoms_in[-1])
    for middle, variant in zip(middles_in, variants):
        _draw_bar(axes, float(middle), variant)
    axes.axvline(0, color=_INK, linewidth=1)
    axes.set_yticks(middles_in, names, parse_math=False)
    axes.set_ylim(bottoms_in[-1], 0)  # the first on top
    axes.margins(x=0.03)
    axes.grid(axis="x", color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(labelsize=9)
    axes.set_xlabel(f"Δ mIoU in points, with the {100 * report.resampling.level:g} % interval", fontsize=9)
    score = "" if baseline.mIoU is None else f" ({baseline.mIoU:.2f} mIoU)"
    _set_title(axes, f"{report.dataset}, {report.images} images: difference to {baseline.name}{score}", 90)
    _add_legend(figure)
    return figure


def draw_sweep(grid: SweepGrid, dataset: str = "") -> Figure:
    """Draw a sweep as a heat map, with the value in each cell and the best cell framed.

    Args:
        grid: The sweep.
        dataset: Named in the title.

    Returns:
        A figure that grows with the grid.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    rows, columns = grid.deltas.shape
    figure, axes = _figure(max(2.6 + 0.85 * columns, 4.5), 1.9 + 0.45 * rows)
    limit = float(np.nanmax(np.abs(grid.deltas), initial=0)) or 1.0
    steps = 257  # an odd number, so that 0 is white
    colors = LinearSegmentedColormap.from_list("loss to gain", [_LOSS, "#ffffff", _GAIN], steps)
    image = axes.imshow(grid.deltas, cmap=colors.with_extremes(bad=_GRID), vmin=-limit, vmax=limit, aspect="auto")
    _label_cells(axes, grid, image.to_rgba(grid.deltas))
    if not np.isnan(grid.deltas).all():
        row, column = np.unravel_index(np.nanargmax(grid.deltas), grid.deltas.shape)
        corner = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=_INK, linewidth=2.5, clip_on=False, zorder=4))
    axes.set_xticks(range(columns), [_wrapped(str(value), 12) for value in grid.column_values], parse_math=False)
    axes.set_yticks(range(rows), [_wrapped(str(value), 24) for value in grid.row_values], parse_math=False)
    axes.set_xticks(np.arange(1, columns) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, rows) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0, labelsize=9)
    axes.set_xlabel(grid.column_name, parse_math=False)
    axes.set_ylabel(grid.row_name, parse_math=False)
    figure.colorbar(image, ax=axes, label="Δ mIoU in points")
    _set_title(axes, f"{dataset}, {grid.name}" if dataset else grid.name, 12 + 9 * columns)
    figure.supxlabel("frame: largest Δ · bold: significant", fontsize=8, color=_INK)
    return figure


def write_plots(report: AblationReport, folder: Path) -> list[Path]:
    """Write `deltas.png`, and `sweep_<number>_<name>.png` for each sweep over two parameters.

    Args:
        report: With at least one variant.
        folder: An existing folder; files of these names are replaced.

    Returns:
        The files.

    Raises:
        OptionError: There is nothing but the baseline.
    """
    with plot_fonts(_texts(report)):
        figures = {"deltas.png": draw_deltas(report)}
        for number, grid in enumerate(sweep_grids(report), start=1):
            name = re.sub(r"[^\w.-]+", "_", grid.name)
            figures[f"sweep_{number}_{name}.png"] = draw_sweep(grid, report.dataset)
        for name, figure in figures.items():
            with complete_or_absent(folder / name) as partial:
                figure.savefig(partial, dpi=_DPI, metadata={"Software": None})
    return [folder / name for name in figures]


def _texts(report: AblationReport) -> list[str]:
    """All texts of a report's plots that are not ours."""
    texts = [report.dataset]
    for variant in report.variants:
        texts += [variant.name, variant.sweep or "", *variant.parameters, *map(str, variant.parameters.values())]
    return texts


def _grid(name: str, variants: Sequence[VariantResult]) -> SweepGrid | None:
    """The table of one sweep; None where other than two parameters vary."""
    values: dict[str, list[Any]] = {}
    for variant in variants:
        for parameter, value in variant.parameters.items():
            known = values.setdefault(parameter, [])
            if value not in known:  # values may be lists, which no set can hold
                known.append(value)
    varying = [parameter for parameter, known in values.items() if len(known) > 1]
    if len(varying) != 2:
        return None
    row_name, column_name = varying
    shape = len(values[row_name]), len(values[column_name])
    deltas, significant = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    for variant in variants:
        if variant.delta is not None and {row_name, column_name} <= set(variant.parameters):
            cell = tuple(values[axis].index(variant.parameters[axis]) for axis in varying)
            deltas[cell], significant[cell] = variant.delta.delta, variant.significant
    return SweepGrid(
        name, row_name, tuple(values[row_name]), column_name, tuple(values[column_name]), deltas, significant
    )


def _figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)  # inches
    figure = Figure(figsize=(width_in, height_in), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _draw_bar(axes: Axes, middle: float, variant: VariantResult) -> None:
    """One bar with its interval, and the numbers to the right of all bars in two columns."""
    delta, texts = variant.delta, ("–", "")
    if delta is not None:
        color = _GAIN if delta.delta > 0 else _LOSS
        axes.barh(middle, delta.delta, height=0.19, color=color, alpha=1.0 if variant.significant else _PALE)
        # not xerr, which must not be negative: the interval may lie beside the difference
        axes.plot([delta.low, delta.high], [middle, middle], color=_INK, linewidth=1.3, marker="|", markersize=6)
        texts = format_signed(delta.delta), format_interval(delta)
    weight = "bold" if variant.significant else "normal"
    for text, offset, side in zip(texts, (48, 56), ("right", "left")):  # in points
        axes.annotate(
            text,
            (1, middle),
            (offset, 0),
            axes.get_yaxis_transform(),
            "offset points",
            ha=side,
            va="center",
            fontsize=9,
            weight=weight,
            color=_INK,
        )


def _label_cells(axes: Axes, grid: SweepGrid, colors: FloatArray) -> None:
    """Write the values in letters that can be seen on the cells' colours (R, C, 4)."""
    brightness = colors[..., :3] @ (0.3, 0.59, 0.11)  # (R, C)
    for (row, column), delta in np.ndenumerate(grid.deltas):
        axes.text(
            column,
            row,
            "–" if math.isnan(delta) else format_signed(float(delta)),
            color="white" if brightness[row, column] < 0.55 else _INK,
            weight="bold" if grid.significant[row, column] else "normal",
            ha="center",
            va="center",
            fontsize=9,
        )


def _add_legend(figure: Figure) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(color=_GAIN, label="gain"),
        Patch(color=_LOSS, label="loss"),
        Patch(color=_INK, alpha=_PALE, linewidth=0, label="pale: not significant"),
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), fontsize=9, frameon=False)


def _set_title(axes: Axes, title: str, letters: int) -> None:
    axes.set_title(_wrapped(title, letters), fontsize=10, loc="left", color=_INK, parse_math=False)


def _wrapped(text: str, letters: int = _NAME_LETTERS) -> str:
    """Text in lines; what does not fit is cut off."""
    lines = textwrap.wrap(text, letters) or [""]
    if len(lines) > _NAME_LINES:
        lines = [*lines[: _NAME_LINES - 1], lines[_NAME_LINES - 1][: letters - 1] + "…"]
    return "\n".join(lines)
