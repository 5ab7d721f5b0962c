"""What others published about the benchmark sets: scores with their grade of evidence, and released settings.

Grades: "P" read in the authors' own repository, abstract or figure; "Q" a paper's number quoted by a third party,
whose table was not seen; "M" measured by somebody else. Scores are in per cent.

    PUBLISHED["loveda"]         scores of one set, one entry per number somebody reports
    AVERAGES["semantic"]        means over a group of sets as they were stated, not computed here
    ROBUSTNESS["noise"]         means over the general sets with corrupted images
    RELEASED["loveda"]          thresholds and window of the configuration that SegEarth-OV3 released
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

Grade = Literal["P", "Q", "M"]
Metric = Literal["mIoU", "IoU", "F1"]

SEMANTIC_EIGHT = ("openearthmap", "loveda", "isaid", "potsdam", "vaihingen", "uavid", "udd5", "vdd")
GENERAL_EIGHT = ("voc21", "context60", "coco_object", "voc20", "context59", "coco_stuff164k", "cityscapes", "ade20k")

OV3 = "SegEarth-OV3"
OV3_TABLE = "arXiv 2512.08730 Table 2, as quoted by FasterThanAi/FreeTraining-OVSS"
SAM3_METHODS = (OV3, "ProC-SAM3", "ActiveSAM", "SAM 3", "OmniOVCD")
PROC_TABLE = "YanghuiSong/ProC-SAM3 assets/results.png (Table I)"
ACTIVE_TABLE = "VILA-Lab/ActiveSAM results/table1.png"
RSKT_README = "LiBingyu01/RSKT-Seg README"
SEG2CHANGE = "yogurts-sy/Seg2Change (arXiv 2604.11231)"
OMNIOVCD = "arXiv 2601.13895, abstract"
FASTER = "FasterThanAi/FreeTraining-OVSS"
CAPSTONE = "qhdusrla08/capstone-project"
EITHER = f"{FASTER} or {CAPSTONE}"  # both report it, which number is whose was not recorded
TWO_OTHERS = "two third parties, not named"
QUOTES = "arXiv 2512.08730, quoted in a blog or catalogue"


@dataclasses.dataclass(frozen=True)
class PublishedScore:
    """A score somebody reports for a set.

    Attributes:
        method: Whose method.
        score: In per cent.
        metric: "mIoU" over the classes of the set; "IoU" or "F1" of the foreground (building, road, water, change).
        grade: How sure the number is, see above.
        source: Where it was read.
        rerun_by: Who ran the method, where that is not its authors; "" for the authors' own number.
        trained: Whether the method was trained for this task; the others are training-free.
        remark: What makes it not comparable with the rest, if anything.
    """

    method: str
    score: float
    metric: Metric
    grade: Grade
    source: str
    rerun_by: str = ""
    trained: bool = False
    remark: str = ""

    def __str__(self) -> str:
        """The score as configurations and tables cite it: "SegEarth-OV3 47.4 mIoU [Q] (arXiv ...)"."""
        rerun = f", rerun by {self.rerun_by}," if self.rerun_by else ""
        where = "; ".join(text for text in (self.source, self.remark) if text not in ("", self.rerun_by))
        return f"{self.method}{rerun} {self.score} {self.metric} [{self.grade}]" + (f" ({where})" if where else "")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How scores become labels on a set, and whether windows slide over an image.

    Attributes:
        prob_threshold: Pixels whose best score is below become `background`.
        confidence_threshold: Objects scored no higher are left out.
        background: Class of pixels where nothing is confident; None where every pixel gets its best class.
        window, stride: In pixels; None where the whole image is segmented in one pass.
    """

    prob_threshold: float
    confidence_threshold: float
    background: int | None
    window: int | None = None
    stride: int | None = None


RELEASED: dict[str, Settings] = {
    "openearthmap": Settings(0.1, 0.1, 0, window=512, stride=512),
    "loveda": Settings(0.5, 0.5, 0),
    "isaid": Settings(0.5, 0.4, 0),
    "potsdam": Settings(0.1, 0.2, 5),
    "vaihingen": Settings(0.1, 0.4, 5),
    "uavid": Settings(0.3, 0.3, 0),
    "udd5": Settings(0.1, 0.5, 4),
    "vdd": Settings(0.3, 0.5, 0),
    "gid": Settings(0.1, 0.1, 0),
    "whu_aerial": Settings(0.4, 0.5, 0),
    "whu_sat_ii": Settings(0.4, 0.5, 0),
    "inria": Settings(0.5, 0.5, 0),
    "xbd": Settings(0.1, 0.1, 0),
    "gf7_building": Settings(0.5, 0.1, 0),
    "chn6_cug": Settings(0.3, 0.5, 0),
    "deepglobe_road": Settings(0.4, 0.5, 0),
    "massachusetts_road": Settings(0.3, 0.5, 0),
    "spacenet_road": Settings(0.3, 0.3, 0),
    "gf_road": Settings(0.3, 0.1, 0),
    "wbs_si": Settings(0.3, 0.3, 0),
    "levir_cd": Settings(0.4, 0.5, 0),
    "whu_cd": Settings(0.4, 0.5, 0),
    "s2looking": Settings(0.6, 0.5, 0),
    "voc20": Settings(0.0, 0.2, None),
    "voc21": Settings(0.4, 0.5, 0),
    "context59": Settings(0.0, 0.3, None),
    "context60": Settings(0.1, 0.3, 0),
    "coco_object": Settings(0.4, 0.5, 0),
    "coco_stuff164k": Settings(0.0, 0.2, None),
    "cityscapes": Settings(0.0, 0.3, None),
    "ade20k": Settings(0.0, 0.3, None),
}

_Row = tuple[str, Sequence[float | None]]

# columns: SEMANTIC_EIGHT, then the average as stated
_SEMANTIC_ROWS: tuple[_Row, ...] = (
    ("SCLIP", (29.3, 30.4, 16.1, 39.6, 35.9, 31.4, 38.7, 37.9, 32.4)),
    ("GEM", (33.9, 31.6, 17.7, 39.1, 36.4, 33.4, 41.2, 39.5, 34.1)),
    ("ClearCLIP", (31.0, 32.4, 18.2, 42.0, 36.2, 36.2, 41.8, 39.3, 34.6)),
    ("ProxyCLIP", (38.9, 34.3, 21.8, 49.0, 47.5, 35.8, 40.8, 47.8, 39.5)),
    ("CorrCLIP", (32.9, 36.9, 25.5, 51.9, 47.0, 38.3, 46.1, 47.3, 40.7)),
    ("SegEarth-OV", (40.3, 36.9, 21.7, 48.5, 40.0, 42.5, 50.6, 45.3, 40.7)),
)
_OV3_SEMANTIC: tuple[_Row, ...] = ((OV3, (42.9, 47.4, 27.6, 57.8, 60.8, 54.7, 71.7, 64.5, 53.4)),)
_OV3_BY_PROC: tuple[_Row, ...] = ((OV3, (41.0, 41.6, 26.0, 57.2, 60.8, 54.7, 71.6, 64.4, 52.2)),)
_PROC_SEMANTIC: tuple[_Row, ...] = (("ProC-SAM3", (48.9, 46.1, 29.5, 58.8, 64.5, 60.0, 73.4, 67.5, 56.1)),)
_CONINFER: tuple[_Row, ...] = (("ConInfer", (41.95, 39.33, *[None] * 7)),)
_CONINFER_RERUN: tuple[_Row, ...] = (("ConInfer", (29.90, 36.99, *[None] * 7)),)
_SUPERVISED: tuple[_Row, ...] = (("supervised (Oracle)", (64.4, 50.0, None, 74.3, 61.2, *[None] * 4)),)
_TRAINED_ROWS: tuple[_Row, ...] = (
    ("CAT-Seg", (None, 28.6, 53.3, 35.8, 42.3, 39.1, None, 40.2, None)),
    ("GSNet", (None, 32.5, 53.7, 37.9, 44.1, 37.3, None, 40.9, None)),
    ("RSKT-Seg", (None, 33.2, 54.3, 38.4, 42.7, 39.7, None, 42.1, None)),
    ("SkySense-O", (40.8, 38.3, 43.9, 54.1, 51.6, None, None, None, None)),
)
_RSKT_OWN: tuple[_Row, ...] = (("RSKT-Seg", (None, 31.43, 56.88, 37.14, 42.29, 23.88, 45.73, 40.55, None)),)

# columns: GENERAL_EIGHT, then the average as stated
_GENERAL_ROWS: tuple[_Row, ...] = (
    ("ActiveSAM", (83.8, 55.4, 72.0, 97.0, 60.1, 44.4, 69.7, 40.0, 65.3)),
    (OV3, (79.8, 53.4, 72.0, 96.8, 59.2, 42.8, 69.7, 37.6, 63.9)),
    ("SAM 3", (*[None] * 8, 57.5)),
    ("CorrCLIP", (*[None] * 8, 53.6)),
    ("ProxyCLIP", (*[None] * 8, 41.1)),
)

# columns: LEVIR-CD, WHU-CD, S2Looking
_CHANGE_SETS = ("levir_cd", "whu_cd", "s2looking")
_OMNI: tuple[_Row, ...] = (("OmniOVCD", (67.2, 66.5, 24.5)),)
_CHANGE_IOU: tuple[_Row, ...] = (
    ("DynamicEarth with SegEarth-OV3", (56.21, 66.20, None)),
    ("AnyChange with SegEarth-OV3", (56.58, 52.96, None)),
    ("Inst-CEG with SegEarth-OV3", (54.58, 55.46, None)),
)
_CHANGE_F1: tuple[_Row, ...] = (
    ("DynamicEarth with SegEarth-OV3", (71.97, 79.66, None)),
    ("AnyChange with SegEarth-OV3", (72.27, 69.25, None)),
    ("Inst-CEG with SegEarth-OV3", (70.62, 71.35, None)),
)

_Table = dict[str, list[PublishedScore]]


def _add(
    table: _Table, sets: Sequence[str], rows: Sequence[_Row], grade: Grade, source: str, **details: object
) -> None:
    """Put the rows of a published table under the names of its columns."""
    for method, values in rows:
        for name, value in zip(sets, values, strict=True):
            if value is not None:
                entry = PublishedScore(method, value, "mIoU", grade, source)
                table[name].append(dataclasses.replace(entry, **details))  # type: ignore[arg-type]


def _collect() -> tuple[Mapping[str, tuple[PublishedScore, ...]], Mapping[str, tuple[PublishedScore, ...]]]:
    """All scores by set, SegEarth-OV3's own first, and the stated averages by group."""
    table: _Table = defaultdict(list)
    semantic, general = (*SEMANTIC_EIGHT, "semantic"), (*GENERAL_EIGHT, "general")
    _add(table, semantic, _OV3_SEMANTIC, "Q", OV3_TABLE)
    _add(table, general, _GENERAL_ROWS[1:2], "P", ACTIVE_TABLE, remark="rerun or quoted: not known")
    for name, score in (("whu_aerial", 86.9), ("inria", 72.4), ("wbs_si", 75.6)):
        table[name].append(PublishedScore(OV3, score, "IoU", "Q", QUOTES))
    table["gid"].append(PublishedScore(OV3, 42.2, "mIoU", "Q", FASTER, remark="mean over 5 or 6 classes unknown"))
    for name, score, by in _RERUNS:
        table[name].append(PublishedScore(OV3, score, "mIoU", "M", by, rerun_by=by))
    for side, score in ((1008, 56.86), (1344, 57.29)):
        remark = f"70 val frames, longer side {side}"
        table["uavid"].append(PublishedScore(OV3, score, "mIoU", "M", FASTER, rerun_by=FASTER, remark=remark))
    _add(table, semantic, _OV3_BY_PROC, "P", PROC_TABLE, rerun_by="ProC-SAM3")
    _add(table, semantic, _PROC_SEMANTIC, "P", PROC_TABLE)
    _add(table, semantic, _CONINFER, "Q", FASTER)
    _add(table, semantic, _CONINFER_RERUN, "M", FASTER, rerun_by=FASTER)
    _add(table, semantic, _SEMANTIC_ROWS, "P", PROC_TABLE)
    table["gid"].append(PublishedScore("SegEarth-OV", 46.3, "mIoU", "Q", FASTER))
    _add(table, semantic, _SUPERVISED, "Q", FASTER, trained=True)
    _add(table, semantic, _TRAINED_ROWS, "P", PROC_TABLE, trained=True)
    _add(table, semantic, _RSKT_OWN, "P", RSKT_README, trained=True)
    _add(table, general, (*_GENERAL_ROWS[:1], *_GENERAL_ROWS[2:]), "P", ACTIVE_TABLE)
    _add(table, _CHANGE_SETS, _OMNI, "P", OMNIOVCD, metric="IoU")
    _add(table, _CHANGE_SETS, _CHANGE_IOU, "P", SEG2CHANGE, metric="IoU")
    _add(table, _CHANGE_SETS, _CHANGE_F1, "P", SEG2CHANGE, metric="F1")
    for metric, levir, whu in (("IoU", 64.91, 75.72), ("F1", 78.72, 86.18)):
        rows = (("Seg2Change", (levir, whu, None)),)
        _add(table, _CHANGE_SETS, rows, "P", SEG2CHANGE, metric=metric, trained=True)
    averages = {group: tuple(table.pop(group)) for group in ("semantic", "general")}
    return {name: tuple(scores) for name, scores in table.items()}, averages


_RERUNS = (
    ("loveda", 47.38, FASTER),
    ("loveda", 47.38, CAPSTONE),
    ("openearthmap", 44.11, "SegEarth-OV-3 issue 18"),
    ("openearthmap", 44.16, TWO_OTHERS),
    ("potsdam", 57.83, EITHER),
    ("potsdam", 57.80, EITHER),
    ("vaihingen", 60.80, EITHER),
)

PUBLISHED, AVERAGES = _collect()

# means over GENERAL_EIGHT: ActiveSAM, SegEarth-OV3
_CORRUPTED = {
    "clean": (65.03, 63.34),
    "noise": (46.48, 44.92),
    "blur": (53.96, 52.88),
    "jpeg": (57.90, 56.29),
    "fog": (62.07, 60.69),
}
ROBUSTNESS = {
    kind: tuple(
        PublishedScore(method, score, "mIoU", "P", "VILA-Lab/ActiveSAM")
        for method, score in zip(("ActiveSAM", OV3), scores)
    )
    for kind, scores in _CORRUPTED.items()
}
