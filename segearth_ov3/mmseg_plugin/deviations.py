"""Say what keeps a result from being compared with published ones: images, labels, words and settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict
from mmseg.datasets import BaseSegDataset

from ..checkpoints import is_demo
from ..datasets import SPECS, DatasetSpec
from ..datasets.published import RELEASED
from ..datasets.words import SHIPPED_WORDS, words_digest
from ..metrics.confusion import IntArray
from ..metrics.provenance import settings_digest
from .records import image_names

PUBLISHED_FOLDER = "-published"  # end of the folder that `prepare.py --published` writes to

# keys of a dataset's section that say where the data lie, and change no label
_NEUTRAL = {"type", "benchmark", "data_root", "data_prefix", "ann_file", "pipeline", "indices", "test_mode", "tiles"}
_NEUTRAL |= {"parts", "count", "side", "first_seed", "img_suffix", "seg_map_suffix", "lazy_init", "serialize_data"}
_STEPS = {"LoadPicture", "LoadImageFromFile", "LoadLabels", "LoadAnnotations", "LoadColorAnnotations"}
_STEPS |= {"PackSegInputs", "CorruptPicture"}


def deviations(config: Config, words: Sequence[Sequence[str]], images: int, total: int | None) -> list[str]:
    """List what keeps a result from being compared with published ones.

    Args:
        config: As evaluated.
        words: Synonyms of each class, in label order.
        images: Number of images evaluated.
        total: Number of images of the whole set; None where it is not known.

    Returns:
        Reasons in words ("2 of 1669 images"); none where everything is as published.
    """
    model, data = config.model, config.test_dataloader.dataset
    spec = SPECS.get(config.get("dataset_name", ""))
    found = [*_of_count(spec, images, total), *_of_pictures(data)]
    if spec is not None:
        found += [*_of_labels(data, spec), *_of_words(words, spec), *_of_thresholds(model, spec)]
    found += [f"{key} off" for key in ("use_semantic", "use_instance") if not model.get(key, True)]
    presence = model.get("presence", "full")
    found += [] if presence == "full" else [f"presence {presence}"]
    found += ["with token refiners"] if model.get("refiners") else []
    if is_demo(model.get("checkpoint")) and (spec is None or spec.name != "demo"):
        found.append("the demo model, which is for trying out")
    return found


def data_digests(
    dataset: BaseSegDataset, pipeline: Sequence[ConfigDict], words: Sequence[Sequence[str]], confusion: IntArray
) -> dict[str, str]:
    """Return digests by which two results can be checked to be of the same words, images and labels.

    Args:
        dataset: As evaluated.
        pipeline: Its steps, as in the configuration.
        words: Synonyms of each class.
        confusion: (C, C) or (C + 1, C) over all images, rows are labels.

    Returns:
        "words"; "label_rule", of classes and of how stored values become classes; "images", of their names in order;
        "label_pixels", of the number of labelled pixels of each class.
    """
    rule = {
        "classes": list(dataset.metainfo["classes"]),
        "reduce_zero_label": bool(dataset.reduce_zero_label),
        "ignore_index": dataset.ignore_index,
        "label_map": sorted((dataset.label_map or {}).items()),
        "value_map": sorted(getattr(dataset, "value_map", {}).items()),
        "loading": [dict(step) for step in pipeline if "Picture" not in step["type"]],
    }
    return {
        "words": words_digest(words),
        "label_rule": settings_digest(rule),
        "images": settings_digest(image_names(dataset)),
        "label_pixels": settings_digest(confusion.sum(axis=1).tolist()),
    }


def _of_count(spec: DatasetSpec | None, images: int, total: int | None) -> Iterator[str]:
    if total is not None:
        if images != total:
            yield f"{images} of {total} images"
    elif spec is not None and spec.items is not None:
        yield f"{images} images, where the whole set is believed to have {spec.items}"
    else:
        yield f"{images} images, and it is not known how many the whole set has"


def _of_pictures(data: ConfigDict) -> Iterator[str]:
    """Steps of the pipeline that change the pictures or labels."""
    for step in data.get("pipeline", ()):
        kind = str(step.type).rpartition(".")[2]
        if kind == "CorruptPicture":
            yield f"corrupted by {step.kind}:{step.severity}"
        elif kind not in _STEPS:
            yield f"the pipeline has {kind}"
        elif kind in ("LoadLabels", "LoadAnnotations") and (options := [key for key in step if key != "type"]):
            yield f"labels loaded with {', '.join(options)}"
        elif step.get("reading"):
            yield "pictures read with options"


def _of_labels(data: ConfigDict, spec: DatasetSpec) -> Iterator[str]:
    """Which images and labels are taken, and how stored values become classes."""
    if (benchmark := data.get("benchmark", spec.name)) != spec.name:
        yield f"read as {benchmark}"
    reduce = data.get("reduce_zero_label")
    if reduce is not None and bool(reduce) != spec.reduce_zero_label:
        yield f"reduce_zero_label {reduce} (published {spec.reduce_zero_label})"
    classes = (data.get("metainfo") or {}).get("classes")
    if classes is not None and tuple(classes) != spec.classes:
        yield f"only or other classes: {', '.join(classes)}"
    prefix = data.get("data_prefix", {})
    for key, folder, what in (("img_path", spec.image_dir, "images"), ("seg_map_path", spec.label_dir, "labels")):
        if (used := prefix.get(key, folder)) != folder:
            yield f"{what} of the folder {used} (here prepared in {folder})"
    if (listed := data.get("ann_file") or "") != spec.id_list:
        yield f"images listed in {listed or 'no file'} (published {spec.id_list or 'all of the folder'})"
    for key in data:
        if key not in _NEUTRAL and key not in ("reduce_zero_label", "metainfo") and data[key] is not None:
            yield f"labels changed by {key}"
    if spec.name == "wbs_si" and PUBLISHED_FOLDER not in str(data.get("data_root")):
        yield "exact masks, where the published ones were stored as JPEG"


def _of_words(words: Sequence[Sequence[str]], spec: DatasetSpec) -> Iterator[str]:
    if spec.own_words and spec.name in RELEASED:
        yield "words of our own, as the published ones are not known"
    if (digest := words_digest(words)) != SHIPPED_WORDS[spec.name]:
        origin = "ours" if spec.own_words else "the published ones"
        yield f"other words than {origin} in {spec.vocabulary} (digest {digest}, not {SHIPPED_WORDS[spec.name]})"


def _of_thresholds(model: ConfigDict, spec: DatasetSpec) -> Iterator[str]:
    if spec.name in RELEASED:
        for key, value in dataclasses.asdict(RELEASED[spec.name]).items():
            if _get(model, key) != value:
                yield f"{key} {_get(model, key)} (published {value})"


def _get(model: ConfigDict, key: str) -> Any:
    """A setting of the model, or its default."""
    defaults = {"prob_threshold": 0.0, "confidence_threshold": 0.5, "background": 0}
    value = model.get(key, defaults.get(key))
    return model.get("window") if key == "stride" and value is None else value
