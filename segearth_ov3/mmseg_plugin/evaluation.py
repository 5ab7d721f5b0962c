"""One evaluation by mmengine's loop, in one process or several: resumable, with its results in a folder.

    out/
        results.json  results.md     when all images are done
        records.jsonl                counts of each image that is done; records.1.jsonl, ... of further processes
        predictions/                 if wanted

Every process predicts and records its share. At the end the first one puts all records together, each image once,
in the order of the dataset, so that the result depends neither on the number of processes nor on interruptions.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import itertools
import platform
import shutil
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import Hook
from mmseg.datasets import BaseSegDataset
from mmseg.registry import MODELS

from ..atomic import complete_or_absent
from ..datasets.label_notes import note_absent_classes
from ..errors import DatasetWarning
from ..metrics.report import Report, make_report, to_markdown
from .configuration import CheckedSet, headline_of
from .deviations import data_digests, deviations
from .hooks import PicturesHook, ProgressHook, RecordHook, SavePredictionsHook, check_inputs_kept
from .own_dataset import LabelledImages
from .processes import in_first, together
from .records import RECORDS, ImageRecord, RecordFile, image_files, image_names, sum_confusions
from .runner import QuietRunner
from .segmentor import Network, SegEarthOV3Segmentor, load_network
from .workfolder import check_leftovers, hold_folder, make_folder

RESULTS = "results.json"
PREDICTIONS = "predictions"
_TABLE = "results.md"
_PARTS = "records.*.jsonl"  # of the processes after the first


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What an evaluation writes, and where.

    Attributes:
        folder: For results, records and predictions; made if needed.
        resume: Go on with what an interrupted run has left in `folder`; begin if it has left nothing.
        overwrite: Remove what an earlier run has left in `folder`.
        predictions: Write class indices to `folder`/predictions.
        pictures: Folder for pictures image | label | prediction; None draws none.
        logs: Folder for mmengine's logs; None means `folder`.
    """

    folder: Path
    resume: bool = False
    overwrite: bool = False
    predictions: bool = False
    pictures: Path | None = None
    logs: Path | None = None

    def claim(self, held: contextlib.ExitStack, dataset: BaseSegDataset) -> None:
        """Create the folders, lock `folder` and check what is in it, before anything slow.

        Args:
            dataset: What is evaluated; none of its files may be replaced.
            held: The first process locks the folder until this closes.

        Raises:
            OptionError: A folder cannot be written to, another process is working in it, it holds results and neither
                resuming nor overwriting is wanted, or an image or a label would be replaced.
        """
        predictions = self.folder / PREDICTIONS
        folders = [predictions] * self.predictions + ([self.pictures] if self.pictures else [])
        check_inputs_kept(dataset, folders, predictions if self.overwrite else None)
        if get_rank() == 0:
            held.enter_context(hold_folder(self.folder))
        for folder in filter(None, (self.folder, self.pictures)):
            make_folder(folder)
        check_leftovers(self.folder, *self._leftovers(), resume=self.resume, overwrite=self.overwrite)

    def clear(self) -> None:
        """Remove what an earlier run has left, where overwriting is wanted."""
        if self.overwrite:
            for file in itertools.chain(*self._leftovers()):
                file.unlink(missing_ok=True)
            shutil.rmtree(self.folder / PREDICTIONS, ignore_errors=True)

    def _leftovers(self) -> tuple[list[Path], list[Path]]:
        """Record files and results in the folder."""
        results = [path for path in (self.folder / RESULTS, self.folder / _TABLE) if path.exists()]
        return sorted(self.folder.glob("records*.jsonl")), results

    def hooks(self) -> list[Hook]:
        """What mmengine's loop does with each prediction."""
        hooks: list[Hook] = [SavePredictionsHook(self.folder / PREDICTIONS)] if self.predictions else []
        return [*hooks, PicturesHook(self.pictures)] if self.pictures else hooks


class NetworkCache:
    """Loads a network once for all configurations that want the same; keeps the last one only.

    Configurations name it by checkpoint, device and dtype of their model.
    """

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._network: Network | None = None

    def get(self, model: ConfigDict) -> Network:
        """The network of a model's section; errors are those of `load_network`."""
        key = (model.get("checkpoint"), model.get("device"), model.get("dtype", "float32"))
        if self._network is None or key != self._key:
            self._network = None  # makes room before the next one is loaded
            self._key, self._network = key, load_network(*key)
        return self._network


def _subset(dataset: BaseSegDataset, indices: Sequence[int]) -> BaseSegDataset:
    """A part of a dataset, which stays as it is.

    mmengine's own `get_subset` remembers objects of earlier calls by their addresses, so that in a process that
    evaluates several sets a transform may come back as another set.
    """
    part = copy.copy(dataset)
    part.get_subset_(indices)  # replaces the list of images, and changes nothing in it
    return part


def evaluate(config: Config, checked: CheckedSet, outputs: Outputs, networks: NetworkCache | None = None) -> Report:
    """Evaluate one configuration and write its results.

    Args:
        config: The configuration, as `check_before_loading` leaves it.
        checked: What that returned.
        outputs: What is written where.
        networks: Has the network already, or keeps it for the next.

    Returns:
        The report, in every process.

    Raises:
        SegEarthError: A setting, the weights, the data or a folder cannot be used, in whichever process; or the folder
            holds an interrupted run of other settings.
    """
    with contextlib.ExitStack() as held:
        # in all processes, because those of other nodes may have folders of their own
        together(lambda: outputs.claim(held, checked.dataset))
        segmentor = together(lambda: _build_segmentor(config, networks or NetworkCache()))
        together(outputs.clear)
        return _measure(config, checked, outputs, segmentor)


def _measure(config: Config, checked: CheckedSet, outputs: Outputs, segmentor: SegEarthOV3Segmentor) -> Report:
    """Predict what is missing, in all processes; the first one writes the results."""
    records, done = _open_records(config, outputs, segmentor, checked.dataset)
    names = image_names(checked.dataset)
    missing = [index for index, name in enumerate(names) if name not in done]
    if missing:
        hooks = [*outputs.hooks(), RecordHook(records), ProgressHook(config.get("dataset_name"), len(done))]
        together(lambda: _run_loop(config, outputs, segmentor, _subset(checked.dataset, missing), hooks))
    parts = all_gather_object([record for name, record in records.records.items() if name not in done])

    def finish() -> Report:
        for record in (record for part in parts for record in part):
            if record.image not in records.records:
                records.add(record)
        report = _report(config, checked, segmentor, [records.records[name] for name in names])
        if not isinstance(checked.dataset, LabelledImages):  # whose labels were all read before
            label_pixels = np.array([entry.label_pixels for entry in report.per_class])
            if note := note_absent_classes(label_pixels, checked.dataset.metainfo["classes"], len(names)):
                warnings.warn(note, DatasetWarning, stacklevel=1)
        _write(report, outputs.folder)
        for file in outputs.folder.glob(_PARTS):
            file.unlink()
        return report

    return in_first(finish)


def device_name(device: str) -> str:
    """A device with its hardware: "cuda:0 (NVIDIA H200)", "cpu (x86_64)"."""
    is_cuda = torch.device(device).type == "cuda"
    return f"{device} ({torch.cuda.get_device_name(device) if is_cuda else platform.machine()})"


def _build_segmentor(config: Config, networks: NetworkCache) -> SegEarthOV3Segmentor:
    return MODELS.build({**config.model, "network": networks.get(config.model)})


def _open_records(
    config: Config, outputs: Outputs, segmentor: SegEarthOV3Segmentor, dataset: BaseSegDataset
) -> tuple[RecordFile, frozenset[str]]:
    """The record file of this process, and the names of the images that are done."""
    classes = len(dataset.metainfo["classes"])
    subject = in_first(lambda: _subject(config, outputs, segmentor))
    path, files = outputs.folder / RECORDS, image_files(dataset)

    def read() -> RecordFile | None:
        if get_rank() > 0:
            return None
        file = RecordFile(path, subject, classes, files)
        for part in sorted(outputs.folder.glob(_PARTS)):
            file.take_in(RecordFile(part, subject, classes, files))
        return file

    file = together(read)
    done = all_gather_object(list(file.records) if file else [])[0]
    if file is None:
        path = outputs.folder / f"records.{get_rank()}.jsonl"
        path.unlink(missing_ok=True)  # where processes share no file system, an old one is still there
        file = RecordFile(path, subject, classes, files)
    return file, frozenset(done)


def _subject(config: Config, outputs: Outputs, segmentor: SegEarthOV3Segmentor) -> dict[str, Any]:
    """All that the records depend on: of the device its kind only."""
    settings = segmentor.describe()
    del settings["checkpoint"]  # weights are compared by content, not by name
    return {
        **settings,
        "device": torch.device(settings["device"]).type,
        "data": config.test_dataloader.dataset.to_dict(),
        "save_predictions": outputs.predictions,
        "show_dir": str(outputs.pictures or "") or None,
    }


def _run_loop(
    config: Config,
    outputs: Outputs,
    segmentor: SegEarthOV3Segmentor,
    dataset: BaseSegDataset,
    hooks: Sequence[Hook],
) -> None:
    """mmengine's loop over a dataset; each process has a share, and no image is filled in twice."""
    sampler = {**config.test_dataloader.sampler, "round_up": False}
    QuietRunner(
        model=segmentor,
        work_dir=str(outputs.logs or outputs.folder),
        test_dataloader={**config.test_dataloader, "dataset": dataset, "sampler": sampler},
        test_evaluator=config.test_evaluator,
        test_cfg=config.test_cfg,
        default_hooks=config.default_hooks,
        custom_hooks=[*config.custom_hooks, *hooks],
        launcher=config.get("launcher", "none"),
        env_cfg=config.env_cfg,
        log_processor=config.log_processor,
        log_level=config.log_level,
        default_scope=config.default_scope,
        randomness={"seed": 0},
        experiment_name=f"{Path(config.filename).stem}_{time.monotonic_ns()}",  # mmengine takes equal ones for one
        cfg=config,
    ).test()


def _report(
    config: Config, checked: CheckedSet, segmentor: SegEarthOV3Segmentor, records: Sequence[ImageRecord]
) -> Report:
    settings, data = segmentor.describe(), config.test_dataloader.dataset.to_dict()
    classes = checked.dataset.metainfo["classes"]
    confusion = sum_confusions(records, len(classes))
    return make_report(
        confusion,
        classes,
        dataset=config.get("dataset_name") or type(checked.dataset).__name__,
        image_seconds=[record.seconds[0] for record in records],
        device=device_name(settings["device"]),
        dtype=settings["dtype"],
        configuration={
            **settings,
            "config": Path(config.filename).name,
            "data": data,
        },
        images_of="unknown" if checked.total is None else checked.total,
        deviations=deviations(config, settings["classes"], len(records), checked.total),
        digests=data_digests(checked.dataset, data.get("pipeline", ()), settings["classes"], confusion),
        headline_class=headline_of(config, classes),
    )


def _write(report: Report, folder: Path) -> None:
    for name, content in {RESULTS: report.to_json(), _TABLE: to_markdown(report)}.items():
        with complete_or_absent(folder / name) as partial:
            partial.write_text(content, encoding="utf-8")
