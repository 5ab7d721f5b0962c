"""Digests of the vocabularies in `configs/vocab`: tell whether an evaluation used the words of its set.

Vocabularies are compared by content, so that other words under the same file name are noticed, and the same words under
another name are not a difference.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..metrics.provenance import settings_digest

# print(words_digest(Vocabulary.from_file("configs/vocab/loveda.txt").classes)); a test compares all of them
SHIPPED_WORDS: dict[str, str] = {
    "openearthmap": "38854c87e1c0a7dd",
    "loveda": "8c02be3ba7d2466e",
    "isaid": "a19c3743a93efd10",
    "potsdam": "813897590a52b7bd",
    "vaihingen": "813897590a52b7bd",
    "uavid": "3d385c3e542d2945",
    "udd5": "a55c8781695cddfa",
    "vdd": "b5f67d47c28a4286",
    "gid": "b072be4f298e20d3",
    "dubai": "241a8c1f944763b6",
    "zurich_summer": "68c58171719bbbf5",
    "whu_aerial": "f327203922effa9e",
    "whu_sat_ii": "f327203922effa9e",
    "inria": "f327203922effa9e",
    "xbd": "f327203922effa9e",
    "gf7_building": "f327203922effa9e",
    "chn6_cug": "af802e2eb6f7c6b1",
    "deepglobe_road": "af802e2eb6f7c6b1",
    "massachusetts_road": "af802e2eb6f7c6b1",
    "spacenet_road": "af802e2eb6f7c6b1",
    "gf_road": "af802e2eb6f7c6b1",
    "wbs_si": "3504c4ffb3e80cfc",
    "voc20": "090d9b20be463fbf",
    "voc21": "533a09dcf5a801dc",
    "context59": "a1f576d93f4c4028",
    "context60": "eb7c005ff074ced6",
    "coco_object": "d61f98aed1218589",
    "coco_stuff164k": "becd6d08455eb737",
    "cityscapes": "1aa4c4b55c5c0a29",
    "ade20k": "54de501704dd728c",
    "levir_cd": "f327203922effa9e",
    "whu_cd": "f327203922effa9e",
    "s2looking": "f327203922effa9e",
    "demo": "b8ea15b4bd78dcd2",
}


def words_digest(classes: Sequence[Sequence[str]]) -> str:
    """Return a digest of the prompts of each class, in label order.

    Args:
        classes: Synonyms of each class, as in `Vocabulary.classes`.
    """
    return settings_digest([list(synonyms) for synonyms in classes])
