"""What an evaluation leaves behind: results file, predictions, pictures; and a progress bar.

Predictions and pictures are named after their images, sub-folders included, below the folder they are written to.
"""

from __future__ import annotations

import os.path
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from PIL import Image
from tqdm import tqdm

from ..errors import OptionError
from ..geo.output import replace_when_complete
from ..geo.overlay import render_panels
from ..metrics.report import Report, make_report, summary, to_markdown
from .datasets import check_class_count
from .metrics import ConfusionMetric
from .segmentor import SegEarthOV3Segmentor

Batch = Mapping[str, Any]


@HOOKS.register_module()
class ResultsHook(Hook):
    """Writes `results.json` and `results.md` at the end of an evaluation.

    Before it starts, vocabulary and dataset are compared. The dataset's name is the configuration's `dataset_name`.

    Args:
        out_dir: Folder for the two files; None means the runner's work folder.

    Raises:
        OptionError: The vocabulary does not fit the dataset, or the evaluator has no `ConfusionMetric`.
    """

    def __init__(self, out_dir: str | Path | None = None) -> None:
        self.out_dir = out_dir
        self.report: Report | None = None

    def before_test(self, runner: Runner) -> None:
        """Compare vocabulary and dataset."""
        check_class_count(
            len(_segmentor(runner).segmenter.vocabulary), runner.test_dataloader.dataset.metainfo["classes"]
        )
        _confusion_metric(runner)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the files, in the first process."""
        if not is_main_process():
            return
        metric = _confusion_metric(runner)
        if metric.confusion is None:
            raise OptionError("the evaluation ended without counts; was the evaluator run?")
        settings = _segmentor(runner).describe()
        self.report = make_report(
            metric.confusion,
            runner.test_dataloader.dataset.metainfo["classes"],
            dataset=runner.cfg.get("dataset_name") or type(runner.test_dataloader.dataset).__name__,
            image_seconds=metric.image_seconds,
            device=device_name(settings["device"]),
            dtype=settings["dtype"],
            configuration={
                **settings,
                "config": runner.cfg.filename and Path(runner.cfg.filename).name,
                "data": runner.cfg.test_dataloader.dataset.to_dict(),
            },
        )
        folder = Path(self.out_dir or runner.work_dir)
        folder.mkdir(parents=True, exist_ok=True)
        contents = {"results.json": self.report.to_json(), "results.md": to_markdown(self.report)}
        for name, content in contents.items():
            with replace_when_complete(folder / name) as partial:
                partial.write_text(content, encoding="utf-8")
        runner.logger.info(f"{summary(self.report)}; written to {folder / 'results.json'}")


@HOOKS.register_module()
class SavePredictionsHook(Hook):
    """Writes the predicted labels of each image as an 8-bit grey PNG of class indices.

    Args:
        out_dir: Folder; the name of an image relative to the dataset's image folder is kept.
    """

    def __init__(self, out_dir: str | Path) -> None:
        self.out_dir = Path(out_dir)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Batch | None = None, outputs: Sequence[SegDataSample] = ()
    ) -> None:
        """Write the predictions of a batch."""
        for sample in outputs:
            labels = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)  # (H0, W0)
            path = _target(self.out_dir, runner, sample)
            with replace_when_complete(path) as partial:
                Image.fromarray(labels).save(partial)


@HOOKS.register_module()
class PicturesHook(Hook):
    """Writes a picture image | label | prediction, with a legend, for each image.

    Args:
        out_dir: Folder; the name of an image relative to the dataset's image folder is kept.
    """

    def __init__(self, out_dir: str | Path) -> None:
        self.out_dir = Path(out_dir)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Batch | None = None, outputs: Sequence[SegDataSample] = ()
    ) -> None:
        """Write the pictures of a batch."""
        images = [] if data_batch is None else data_batch["inputs"]
        meta = runner.test_dataloader.dataset.metainfo
        colors = [tuple(color) for color in meta["palette"]]
        for image, sample in zip(images, outputs, strict=True):
            rgb = _segmentor(runner).data_preprocessor.to_rgb(image).permute(1, 2, 0).cpu().numpy()  # (H0, W0, 3)
            panels = [("image", rgb)]
            if "gt_sem_seg" in sample:
                panels.append(("label", sample.gt_sem_seg.data[0].cpu().numpy()))
            panels.append(("prediction", sample.pred_sem_seg.data[0].cpu().numpy()))
            with replace_when_complete(_target(self.out_dir, runner, sample)) as partial:
                render_panels(panels, meta["classes"], colors).save(partial)


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows a progress bar on a terminal; elsewhere the log has the progress."""

    def before_test(self, runner: Runner) -> None:
        """Open the bar."""
        disable = None if is_main_process() else True  # None: off where the output is no terminal
        self._bar = tqdm(total=len(runner.test_dataloader.dataset), unit="image", disable=disable)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Batch | None = None, outputs: Sequence[SegDataSample] = ()
    ) -> None:
        """Advance by one batch in every process."""
        self._bar.update(len(outputs) * runner.world_size)

    def after_test(self, runner: Runner) -> None:
        """Close the bar."""
        self._bar.close()


def device_name(device: str) -> str:
    """A device with its hardware: "cuda:0 (NVIDIA H200)", "cpu (x86_64)"."""
    is_cuda = torch.device(device).type == "cuda"
    return f"{device} ({torch.cuda.get_device_name(device) if is_cuda else platform.machine()})"


def _segmentor(runner: Runner) -> SegEarthOV3Segmentor:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if not isinstance(model, SegEarthOV3Segmentor):
        raise OptionError(f"expected the model SegEarthOV3Segmentor, got {type(model).__name__}")
    return model


def _confusion_metric(runner: Runner) -> ConfusionMetric:
    for metric in runner.test_evaluator.metrics:
        if isinstance(metric, ConfusionMetric):
            return metric
    raise OptionError("ResultsHook needs dict(type='ConfusionMetric') in test_evaluator")


def _target(folder: Path, runner: Runner, sample: SegDataSample) -> Path:
    """Where the PNG of an image goes; its folder is made."""
    image_dir = runner.test_dataloader.dataset.data_prefix.get("img_path") or ""
    path = folder / os.path.relpath(sample.img_path, image_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_suffix(".png")
