"""Configurations of evaluations: read, changed from the command line, and checked before anything slow."""

from __future__ import annotations

import argparse
import difflib
import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict, DictAction
from mmengine.registry import Registry, init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, METRICS, MODELS

from ..checkpoints.load import PATH_VARIABLE, check_device, is_demo, open_checkpoint
from ..datasets import SPECS, DatasetSpec
from ..errors import OptionError
from ..metrics.report import choose_headline
from ..refiners import build_refiners
from .datasets import build_dataset, check_class_count
from .label_checks import check_labels
from .protocol import spread_indices
from .segmentor import read_vocabulary

SECTIONS = ("default_scope", "model", "test_dataloader", "test_evaluator", "custom_hooks")


def load_config(
    path: str | Path,
    options: Sequence[str] = (),
    *,
    checkpoint: str | None = None,
    data_root: str | None = None,
) -> Config:
    """Read a configuration and change entries of it.

    Args:
        path: A configuration of this toolkit.
        options: "key=value" texts: dotted keys, values as numbers, truth values, or lists like 1,2.
        checkpoint: Takes the place of `model.checkpoint`.
        data_root: Takes the place of the dataset's.

    Returns:
        The configuration.

    Raises:
        OptionError: Not a configuration of this toolkit, or an option leads nowhere.
    """
    try:
        config = Config.fromfile(path)
    except Exception as error:  # a configuration is a program, which may fail in any way
        raise OptionError(f"{path} is no configuration: {type(error).__name__}: {error}") from error
    missing = [name for name in SECTIONS if name not in config]
    if missing:
        raise OptionError(f"{path} is no configuration of this toolkit: it has no {', '.join(missing)}")
    if options:
        parsed = argparse.Namespace()
        DictAction([], "options")(argparse.ArgumentParser(), parsed, options)  # texts to numbers and lists
        check_option_keys(config, parsed.options)
        config.merge_from_dict(parsed.options)
    if checkpoint:
        config.model.checkpoint = checkpoint
    if data_root:
        config.test_dataloader.dataset.data_root = data_root
    return config


class CheckedSet(NamedTuple):
    """A dataset that can be evaluated.

    Attributes:
        dataset: With all images and label files in place.
        total: Images of the whole set: by its facts if it is a benchmark set, never the number that was found; None
            where they are not known, or doubtful and not what was found.
        note: What a reader of the results should know about the data, if anything.
    """

    dataset: BaseSegDataset
    total: int | None
    note: str | None


def check_before_loading(config: Config, limit: int | None = None) -> CheckedSet:
    """Find every mistake that can be found without loading the weights.

    Args:
        config: The configuration; with a limit it gets the indices of the images chosen.
        limit: Evaluate so many images, spread over the set, see `protocol.spread_indices`.

    Returns:
        The dataset.

    Raises:
        SegEarthError: A setting, the vocabulary, the data or the path of the weights is not admissible.
    """
    init_default_scope(config.default_scope)
    for key in ("type", "vocabulary"):
        if key not in config.model:
            raise OptionError(f"{config.filename}: model has no {key!r}")
    if config.model.get("device"):
        check_device(config.model.device)
    check_keywords(config.model, MODELS, "model")
    check_keywords(config.test_dataloader.dataset, DATASETS, "test_dataloader.dataset")
    check_evaluators(config.test_evaluator)
    build_refiners(config.model.get("refiners", ()))
    vocabulary = read_vocabulary(config.model.vocabulary, config.model.get("background", 0))
    checkpoint = config.model.get("checkpoint") or os.environ.get(PATH_VARIABLE)
    if checkpoint is None or is_demo(checkpoint) or not Path(checkpoint).exists():
        open_checkpoint(checkpoint)  # raises where there is none, and says where the weights come from
    checked = _open_dataset(config, limit)
    check_class_count(len(vocabulary), checked.dataset.metainfo["classes"])
    headline_of(config, checked.dataset.metainfo["classes"])
    check_labels(checked.dataset)
    return checked


def _open_dataset(config: Config, limit: int | None) -> CheckedSet:
    """Build the dataset, or the part of it that is wanted, and compare it with the facts of the set."""
    settings = config.test_dataloader.dataset
    spec = SPECS.get(config.get("dataset_name", ""))
    dataset = build_dataset(settings, spec)
    found = len(dataset)
    if settings.get("indices") is not None:
        if limit is not None:
            raise OptionError("give --limit or test_dataloader.dataset.indices, not both")
        found = len(build_dataset({**settings, "indices": None}, spec))
    if limit is not None:
        settings.indices = spread_indices(found, limit)
        dataset.get_subset_(settings.indices)
    if spec is None:
        return CheckedSet(dataset, found, None)
    total = spec.items if spec.items_certain or found == spec.items else None
    if len(dataset) == total:
        return CheckedSet(dataset, total, None)
    return CheckedSet(dataset, total, _note_on_count(spec, len(dataset)))


def _note_on_count(spec: DatasetSpec, images: int) -> str:
    if spec.items is None:
        number = "how many all of {} are is not known"
    else:
        number = f"all of {{}} are {'' if spec.items_certain else 'about '}{spec.items}"
    return f"{images} images; {number.format(spec.title)}: not comparable with published scores"


def headline_of(config: Config, classes: Sequence[str]) -> str | None:
    """Return the class whose IoU is the headline of a result, or None for the mIoU.

    Args:
        config: Its entry `headline` names a class or "mIoU"; without it the facts of a benchmark set decide, then the
            names of the classes.
        classes: Names of the classes that are evaluated.

    Raises:
        OptionError: `headline` names neither.
    """
    spec = SPECS.get(config.get("dataset_name", ""))
    wanted = config.get("headline")
    if wanted is None and spec is not None:
        foreground = None if spec.foreground is None else spec.classes[spec.foreground]
        wanted = foreground if foreground in classes else "mIoU"
    return choose_headline(classes, wanted)


def check_evaluators(evaluators: Any) -> None:
    """Raise where a metric of mmengine's evaluator is not registered, or a keyword is none of its."""
    for place, entry in enumerate([evaluators] if isinstance(evaluators, dict) else evaluators or ()):
        where = "test_evaluator" if isinstance(evaluators, dict) else f"test_evaluator.{place}"
        if not isinstance(entry, dict) or "type" not in entry:
            raise OptionError(f"{where}: expected dict(type=...) of a metric, got {entry!r}")
        check_keywords(entry, METRICS, where)


def check_option_keys(config: Config, options: dict[str, Any]) -> None:
    """Raise where a key leads nowhere; a last part that is new may be a keyword that the configuration leaves out."""
    for key in options:
        *parents, leaf = key.split(".")
        node: Any = config.to_dict()
        for depth, part in enumerate(parents):
            is_index = isinstance(node, list) and part.isdigit() and int(part) < len(node)
            if not is_index and not (isinstance(node, dict) and part in node):
                here = ".".join(parents[:depth]) or "the configuration"
                raise OptionError(f"--cfg-options {key}: no {part!r} in {here}")
            node = node[int(part)] if is_index else node[part]
        if isinstance(node, list) and not (leaf.isdigit() and int(leaf) < len(node)):
            raise OptionError(f"--cfg-options {key}: no {leaf!r} in {'.'.join(parents)}")
        if not parents and leaf not in config:
            raise OptionError(f"--cfg-options {key}: no {leaf!r} in the configuration")


def check_keywords(config: ConfigDict, registry: Registry, where: str) -> None:
    """Raise where a section has a keyword that its class does not take."""
    cls = registry.get(config.type)
    if cls is None:
        raise OptionError(f"{where}: no class {config.type!r} is registered")
    known: set[str] = {"type"}
    for base in cls.__mro__:
        parameters = inspect.signature(base.__init__).parameters if "__init__" in vars(base) else {}
        known |= {name for name, entry in parameters.items() if entry.kind is not entry.VAR_KEYWORD} - {"self"}
        if parameters and not any(entry.kind is entry.VAR_KEYWORD for entry in parameters.values()):
            break
    for name in config:
        if name not in known:
            guess = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {guess[0]!r}?" if guess else ""
            raise OptionError(f"{where}: {config.type} has no option {name!r}{hint}")
