"""What is known about a benchmark set, as one frozen dataclass; `specs` holds the entries.

Folders are relative to the set's own folder, and that to the folder of all sets (`data/` in the configurations):

    data/LoveDA/                    root
        img_dir/val/*.png           image_dir, image_suffix
        ann_dir/val/*.png           label_dir, label_suffix; same name otherwise
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from ..errors import OptionError

Rgb = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class PublishedScore:
    """A score somebody else reports for a set.

    Attributes:
        method: Who.
        miou: In per cent.
        grade: How sure the number is: "author" read in the authors' own repository or paper, "quoted" a paper's number
            quoted by a third party, "rerun" measured by somebody else.
        source: Where it was read.
    """

    method: str
    miou: float
    grade: Literal["author", "quoted", "rerun"]
    source: str


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """Facts of one benchmark set.

    Attributes:
        name: Key in `SPECS` and stem of its configuration ("loveda").
        title: As people write it ("LoveDA").
        classes: Names in label order.
        palette: RGB colour of each class, 0 to 255.
        root: Folder of the set inside the folder of all sets.
        image_dir, label_dir: Folders inside `root`; "" is `root` itself, for layouts that need their own reader.
        image_suffix, label_suffix: Ends of the file names, dot included; letter case matters.
        reduce_zero_label: Whether stored labels are one more than the class index and 0 means ignored.
        background: Class of pixels where nothing is confident; None where every pixel gets its best class.
        vocabulary: File in `configs/vocab`.
        prob_threshold, confidence_threshold: Of the published setting, or the toolkit's defaults where there is none.
        items: Number of images of the evaluated part.
        licence: Terms of use, in short.
        homepage: Where to get it.
        published: Scores others report, with their grade.
        ignore_index: Label of pixels that do not count.

    Raises:
        OptionError: The palette does not fit the classes, or the background is not a class.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    palette: tuple[Rgb, ...]
    root: str
    image_dir: str
    label_dir: str
    image_suffix: str
    label_suffix: str
    reduce_zero_label: bool
    background: int | None
    vocabulary: str
    prob_threshold: float
    confidence_threshold: float
    items: int
    licence: str
    homepage: str
    published: tuple[PublishedScore, ...] = ()
    ignore_index: int = 255

    def __post_init__(self) -> None:
        if len(self.palette) != len(self.classes):
            raise OptionError(f"{self.name}: expected {len(self.classes)} colours, got {len(self.palette)}")
        if self.background is not None and not 0 <= self.background < len(self.classes):
            raise OptionError(
                f"{self.name}: background must be 0 to {len(self.classes) - 1} or None, got {self.background}"
            )
