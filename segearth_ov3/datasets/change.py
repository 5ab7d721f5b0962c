"""Sets of image pairs in which changed buildings are labelled: facts only, no method segments them yet.

Class 1 of a label is change, though its published name is "building".
"""

from __future__ import annotations

from functools import partial

from .published import RELEASED
from .spec import ClassColor, DatasetSpec, by_name

_LEGEND = (ClassColor("background", (0, 0, 0)), ClassColor("building", (255, 255, 255)))
_pairs = partial(
    DatasetSpec,
    group="change",
    legend=_LEGEND,
    label_dir="label_cvt",
    licence="see the page",
)

LEVIR_CD = _pairs(
    name="levir_cd",
    title="LEVIR-CD (test, quarters)",
    root="LEVIR-CD/test_512",
    image_dir="A",
    after_dir="B",
    settings=RELEASED["levir_cd"],
    items=512,
    homepage="https://justchenhao.github.io/LEVIR (test.zip)",
)
WHU_CD = _pairs(
    name="whu_cd",
    title="WHU-CD (test)",
    root="WHU-CD/test_512",
    image_dir="A",
    after_dir="B",
    settings=RELEASED["whu_cd"],
    items=None,
    homepage="https://gpcv.whu.edu.cn/data (Building change detection dataset_add.zip)",
)
S2LOOKING = _pairs(
    name="s2looking",
    title="S2Looking (test)",
    root="S2Looking/test",
    image_dir="Image1",
    after_dir="Image2",
    settings=RELEASED["s2looking"],
    items=1000,
    items_certain=False,
    homepage="https://github.com/S2Looking/Dataset (Google Drive or Baidu)",
)

CHANGE = by_name((LEVIR_CD, WHU_CD, S2LOOKING))
