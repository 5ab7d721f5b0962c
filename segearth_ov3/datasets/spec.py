"""What is known about a benchmark set, as one frozen dataclass; `specs` collects the entries.

Folders are relative to the set's own folder, and that to the folder of all sets (`data/` in the configurations):

    data/LoveDA/                    root
        img_dir/val/*.png           image_dir, image_suffix
        ann_dir/val/*.png           label_dir, label_suffix; same name otherwise
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal, NamedTuple

from ..errors import OptionError
from .published import PUBLISHED, Metric, PublishedScore, Settings

Rgb = tuple[int, int, int]
Group = Literal["semantic", "building", "road", "water", "general", "change", "generated"]

FOREGROUND_GROUPS = ("building", "road", "water", "change")


class ClassColor(NamedTuple):
    """A class and the colour it is drawn in, 0 to 255."""

    name: str
    color: Rgb


def legend(table: str) -> tuple[ClassColor, ...]:
    """Read classes in label order from lines "name red green blue"; names may contain blanks."""
    rows = (line.strip().rsplit(maxsplit=3) for line in table.strip().splitlines())
    return tuple(ClassColor(name, (int(red), int(green), int(blue))) for name, red, green, blue in rows)


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """Facts of one benchmark set.

    Attributes:
        name: Key in `SPECS`, stem of its configuration and of its file in `configs/vocab` ("loveda").
        title: As people write it ("LoveDA").
        group: Kind of set; says which score the field reports.
        legend: Classes in label order, with their colours.
        root: Folder of the set inside the folder of all sets.
        image_dir, label_dir: Folders inside `root`; "" is `root` itself, for layouts that need their own reader.
        settings: Thresholds, fallback class and window: released ones, or the toolkit's defaults where there are none.
        items: Number of images of the evaluated part; None where nobody says.
        licence: Terms of use, in short.
        homepage: Where to get it.
        image_suffix, label_suffix: Ends of the file names, dot included; letter case matters.
        reduce_zero_label: Whether stored labels are one more than the class index and 0 means ignored.
        items_certain: Whether `items` was counted or read in a trustworthy place, so that another number is a fault.
        id_list: File inside `root` with the names of the evaluated images, one per line without suffix; "" takes all.
        after_dir: Folder of the later images of pairs; "" where images are single.
        own_words: Whether the vocabulary is our own, since none was published.
        ignore_index: Label of pixels that do not count.
        has_no_class_pixels: Whether labels prepared in the published way mark pixels of no class, by
            `metrics.confusion.NO_CLASS`: only predictions count there.

    Raises:
        OptionError: The background is not a class.
    """

    name: str
    title: str
    group: Group
    legend: tuple[ClassColor, ...]
    root: str
    image_dir: str
    label_dir: str
    settings: Settings
    items: int | None
    licence: str
    homepage: str
    image_suffix: str = ".png"
    label_suffix: str = ".png"
    reduce_zero_label: bool = False
    items_certain: bool = True
    id_list: str = ""
    after_dir: str = ""
    own_words: bool = False
    ignore_index: int = 255
    has_no_class_pixels: bool = False

    def __post_init__(self) -> None:
        background = self.settings.background
        if background is not None and not 0 <= background < len(self.legend):
            raise OptionError(f"{self.name}: background must be 0 to {len(self.legend) - 1} or None, got {background}")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in label order (C,)."""
        return tuple(entry.name for entry in self.legend)

    @property
    def palette(self) -> tuple[Rgb, ...]:
        """Colour of each class (C,)."""
        return tuple(entry.color for entry in self.legend)

    @property
    def vocabulary(self) -> str:
        """File in `configs/vocab`."""
        return f"{self.name}.txt"

    @property
    def foreground(self) -> int | None:
        """The class whose IoU the field reports; None where it is the mean over all classes."""
        return 1 if self.group in FOREGROUND_GROUPS else None

    @property
    def metric(self) -> Metric:
        """The score the field reports: "IoU" of `foreground`, or "mIoU"."""
        return "mIoU" if self.foreground is None else "IoU"

    @property
    def published(self) -> tuple[PublishedScore, ...]:
        """Scores others report, with their grade."""
        return PUBLISHED.get(self.name, ())


def by_name(specs: Iterable[DatasetSpec]) -> dict[str, DatasetSpec]:
    """Entries under their names, in order."""
    return {spec.name: spec for spec in specs}
