"""Pictures for people: an image under its classes with a legend, and image, label and prediction side by side.

    overlay                     panels
    ┌─────────┐ ■ road   12 %   image       label       prediction
    │ image + │ ■ water   3 %   ┌─────────┐ ┌─────────┐ ┌─────────┐
    │ classes │ ...             │         │ │         │ │         │
    └─────────┘                 └─────────┘ └─────────┘ └─────────┘
                                ■ road  ■ water  ■ no data

Pixels without a class are light grey. Legends list the classes that occur in the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import OptionError, ShapeError
from ..fonts import picture_font
from .palette import Color, class_colors, default_colors

__all__ = ["class_colors", "default_colors", "render_overlay", "render_panels"]

_MAX_SIDE_PX = 2000
_MIN_SIDE_PX = 480
_CLASS_WEIGHT = 0.5
_NO_CLASS: Color = (226, 226, 226)
_PAPER: Color = (255, 255, 255)
_INK: Color = (32, 32, 36)
_FRAME: Color = (150, 150, 155)
_MAX_WITH_ABSENT = 20  # classes up to which a legend lists those without pixels too
_MAX_ENTRIES = 60
_MAX_LETTERS = 32

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


class _Entry(NamedTuple):
    """One line of a legend."""

    color: Color | None  # None: a line of text only
    name: str
    share: str = ""

    @property
    def text(self) -> str:
        """The name on one line, cut where it is too long for a legend."""
        name = " ".join(self.name.split())
        return name if len(name) <= _MAX_LETTERS else name[: _MAX_LETTERS - 1] + "…"


def render_overlay(
    image: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    colors: Sequence[Color],
    valid: np.ndarray | None = None,
) -> Image.Image:
    """Draw classes half transparent over an image, their borders in full colour, with a legend on the right or below.

    Args:
        image: (H0, W0, 3), uint8, RGB. Brought to a longer side of 480 to 2000 pixels.
        labels: Class of each pixel (H0, W0), an integer type; other values than 0 to C - 1 are shown as no data.
        classes: Names of the C classes.
        colors: A colour per class.
        valid: (H0, W0), bool; pixels to show as no data are False. None shows all.

    Returns:
        An RGB picture. Shares in the legend are of the pixels that have a class.

    Raises:
        ShapeError: The arrays do not fit together.
        OptionError: There is not one colour per class.
    """
    _check_layers([("image", image), ("labels", labels), *([] if valid is None else [("valid", valid)])])
    indices = _class_indices(labels, classes, colors, valid)
    size = _picture_size(labels.shape)
    small = _resized(indices, size)
    mixed = _mixed(np.asarray(_resized_image(image, size)), small, colors)
    _draw_borders(mixed, small, colors)
    counts = np.bincount(indices.ravel() % (len(classes) + 1), minlength=len(classes) + 1)
    return _with_legend(Image.fromarray(mixed), _legend(counts, classes, colors))


def bounded_size(shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width in which pixels of a scene of `shape` are enough for an overlay."""
    factor = min(_MAX_SIDE_PX / max(shape), 1)
    return max(round(shape[0] * factor), 1), max(round(shape[1] * factor), 1)


def render_panels(
    panels: Sequence[tuple[str, np.ndarray]], classes: Sequence[str], colors: Sequence[Color]
) -> Image.Image:
    """Draw images and label maps of one place side by side, with titles and one legend.

    Args:
        panels: Title and content: an image (H0, W0, 3), uint8, RGB, or labels (H0, W0) of an integer type, where other
            values than 0 to C - 1 (such as the ignore value 255) are shown as no data.
        classes: Names of the C classes.
        colors: A colour per class.

    Returns:
        An RGB picture at most about 2000 pixels wide or high.

    Raises:
        ShapeError: The contents differ in height and width.
        OptionError: There is no panel, or not one colour per class.
    """
    if not panels:
        raise OptionError("expected at least one panel, got none")
    _check_layers(panels)
    height, width = panels[0][1].shape[:2]
    size = _picture_size((height, width * len(panels)))
    size = (max(size[0] // len(panels), 1), size[1])  # of one panel
    pictures = []
    counts = np.zeros(len(classes) + 1, np.int64)  # the last one counts pixels without a class, index -1
    for _, content in panels:
        if content.ndim == 3:
            pictures.append(_resized_image(content, size))
        else:
            indices = _class_indices(content, classes, colors, None)
            counts += np.bincount(indices.ravel() % len(counts), minlength=len(counts))
            pictures.append(Image.fromarray(_painted(_resized(indices, size), colors)))
    row = _in_a_row([title for title, _ in panels], pictures)
    entries = [entry._replace(share="") for entry in _legend(counts, classes, colors)]
    return _with_legend(row, entries, below=True)


def _check_layers(layers: Sequence[tuple[str, np.ndarray]]) -> None:
    size = layers[0][1].shape[:2]
    for name, layer in layers:
        is_image = layer.ndim == 3 and layer.shape[2] == 3 and layer.dtype == np.uint8
        if not (is_image or layer.ndim == 2) or layer.shape[:2] != size or 0 in size:
            raise ShapeError(
                f"expected {name} as labels (H0, W0) or 8-bit image (H0, W0, 3) with (H0, W0) = {size}, "
                f"got {layer.dtype} {layer.shape}"
            )


def _class_indices(
    labels: np.ndarray, classes: Sequence[str], colors: Sequence[Color], valid: np.ndarray | None
) -> np.ndarray:
    """Labels with -1 for pixels without a class (H0, W0), int32."""
    if len(colors) != len(classes):
        raise OptionError(f"expected one colour for each of {len(classes)} classes, got {len(colors)}")
    has_class = (labels >= 0) & (labels < len(classes))
    if valid is not None:
        has_class &= valid
    return np.where(has_class, labels, -1).astype(np.int32)


def _picture_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of the picture: huge scenes are reduced, tiny ones enlarged by a whole factor."""
    height, width = shape[:2]
    longer = max(height, width)
    factor = _MAX_SIDE_PX / longer if longer > _MAX_SIDE_PX else max(_MIN_SIDE_PX // longer, 1)
    return max(round(width * factor), 1), max(round(height * factor), 1)


def _resized(indices: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(indices).resize(size, Image.Resampling.NEAREST))


def _resized_image(image: np.ndarray, size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(image)
    is_enlarged = size[0] > picture.width
    return picture.resize(size, Image.Resampling.NEAREST if is_enlarged else Image.Resampling.BOX)


def _painted(indices: np.ndarray, colors: Sequence[Color]) -> np.ndarray:
    """Full colours of the classes (H, W, 3), uint8; index -1 reads the last entry, that for no class."""
    return np.array([*colors, _NO_CLASS], dtype=np.uint8)[indices]


def _mixed(image: np.ndarray, indices: np.ndarray, colors: Sequence[Color]) -> np.ndarray:
    """Image and classes mixed (H, W, 3), uint8; nothing of the image where there is no class."""
    weight = np.where(indices >= 0, _CLASS_WEIGHT, 1.0)[..., None]
    return (image * (1 - weight) + _painted(indices, colors) * weight).round().astype(np.uint8)


def _draw_borders(picture: np.ndarray, indices: np.ndarray, colors: Sequence[Color]) -> None:
    """Give the pixels of a class that touch another one its full colour, in place."""
    is_border = np.zeros(indices.shape, dtype=bool)
    is_border[1:] |= indices[1:] != indices[:-1]
    is_border[:, 1:] |= indices[:, 1:] != indices[:, :-1]
    picture[is_border] = _painted(indices[is_border], colors)


def _legend(counts: np.ndarray, classes: Sequence[str], colors: Sequence[Color]) -> list[_Entry]:
    """Entries of a legend.

    Args:
        counts: Pixels of each class, and at last of none (C + 1,).
        classes: Names of the C classes.
        colors: A colour per class.

    Returns:
        All classes with their shares; of many classes those that occur, and of these the largest that can be read.
    """
    total = max(int(counts[:-1].sum()), 1)
    shown = np.arange(len(classes))
    if len(classes) > _MAX_WITH_ABSENT:
        shown = np.flatnonzero(counts[:-1])
        shown = np.sort(shown[np.argsort(-counts[shown], kind="stable")[:_MAX_ENTRIES]])
    entries = [_Entry(colors[index], classes[index], _percent(counts[index] / total)) for index in shown.tolist()]
    occurring = int(np.count_nonzero(counts[:-1]))
    if occurring > len(shown):
        entries.append(_Entry(None, f"and {occurring - len(shown)} more"))
    if len(classes) > max(occurring, len(shown)):
        entries.append(_Entry(None, f"{len(classes) - occurring} classes do not occur"))
    if counts[-1]:
        entries.append(_Entry(_NO_CLASS, "no data"))
    return entries


def _percent(share: float) -> str:
    return "< 0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"


def _in_a_row(titles: Sequence[str], pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of equal size side by side, each under its title."""
    width, height = pictures[0].size
    font_px = _font_px(width * len(pictures), height)
    font, gap = picture_font(titles, font_px), font_px // 2
    step = max(width, max(round(font.getlength(title)) for title in titles)) + gap
    title_px = round(1.6 * font_px)
    row = Image.new("RGB", (step * len(pictures) - gap, height + title_px), _PAPER)
    pen = ImageDraw.Draw(row)
    for index, (title, picture) in enumerate(zip(titles, pictures)):
        pen.text((index * step, title_px // 2), title, fill=_INK, font=font, anchor="lm")
        row.paste(picture, (index * step, title_px))
        frame = (index * step, title_px, index * step + width - 1, title_px + height - 1)
        pen.rectangle(frame, outline=_FRAME)  # a white class would vanish on the paper
    return row


def _with_legend(picture: Image.Image, entries: Sequence[_Entry], *, below: bool | None = None) -> Image.Image:
    """Put a picture on white paper with its legend to the right, or below where the picture is wide."""
    font_px = _font_px(*picture.size)
    font, gap = picture_font([entry.text for entry in entries], font_px), font_px
    line_px, entry_px = round(1.6 * font_px), _entry_width(entries, font, font_px)
    if below is None:
        below = picture.width > 1.5 * picture.height
    if below:
        columns = max(min((picture.width + gap) // (entry_px + gap), len(entries)), 1)
        lines = -(-len(entries) // columns)
    else:
        lines = max(min(picture.height // line_px, len(entries)), 1)
        columns = -(-len(entries) // lines)
    legend_size = columns * (entry_px + gap) - gap, lines * line_px
    left, top = (gap, 2 * gap + picture.height) if below else (2 * gap + picture.width, gap)
    content = (
        (max(picture.width, legend_size[0]), gap + picture.height + legend_size[1])
        if below
        else (gap + picture.width + legend_size[0], max(picture.height, legend_size[1]))
    )
    paper = Image.new("RGB", (content[0] + 2 * gap, content[1] + 2 * gap), _PAPER)
    paper.paste(picture, (gap, gap))
    pen = ImageDraw.Draw(paper)
    for index, entry in enumerate(entries):
        column, line = divmod(index, lines)
        _draw_entry(pen, (left + column * (entry_px + gap), top + line * line_px), entry, entry_px, font, font_px)
    return paper


def _font_px(width: int, height: int) -> int:
    """Height of the letters, in proportion to the picture."""
    return min(max(max(width, height) // 48, 14), 40)


def _entry_width(entries: Sequence[_Entry], font: Font, font_px: int) -> int:
    names = max(font.getlength(entry.text) for entry in entries)
    shares = max(font.getlength(entry.share) for entry in entries)
    return round(1.6 * font_px + names + (shares + font_px if shares else 0))


def _draw_entry(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], entry: _Entry, width: int, font: Font, font_px: int
) -> None:
    """A coloured square, the name, and the share at the right end."""
    left, top = corner
    middle = top + round(0.8 * font_px)
    box = (left, middle - font_px // 2, left + font_px, middle - font_px // 2 + font_px)
    if entry.color is not None:
        pen.rectangle(box, fill=entry.color, outline=tuple(part * 3 // 4 for part in entry.color))
    pen.text((left + round(1.6 * font_px), middle), entry.text, fill=_INK, font=font, anchor="lm")
    pen.text((left + width, middle), entry.share, fill=_INK, font=font, anchor="rm")
