"""What an evaluation leaves behind of each image: counts, predictions, pictures; and a progress bar.

Predictions and pictures are named after their images, sub-folders included, below the folder they are written to.
"""

from __future__ import annotations

import os.path
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.datasets import BaseSegDataset
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from PIL import Image
from tqdm import tqdm

from ..errors import OptionError
from ..geo.output import replace_when_complete
from ..geo.overlay import render_panels
from .metrics import image_confusion, no_class_of
from .records import ImageRecord, PixelCounts, RecordFile, image_name, input_paths
from .segmentor import SegEarthOV3Segmentor

Batch = Mapping[str, Any]


@HOOKS.register_module()
class RecordHook(Hook):
    """Counts the pixels of each image and appends them to a record file, after everything else is done for the image.

    Args:
        records: What was measured is added here.
    """

    priority = "LOWEST"

    def __init__(self, records: RecordFile) -> None:
        self.records = records

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Batch | None = None, outputs: Sequence[SegDataSample] = ()
    ) -> None:
        """Count the pixels of a batch.

        Raises:
            DatasetError: An image has no label, a label of another size, or values that are no class.
        """
        dataset = runner.test_dataloader.dataset
        num_classes = len(dataset.metainfo["classes"])
        for sample in outputs:
            predictions = sample.pred_sem_seg.data[0].cpu().numpy()  # (H0, W0)
            confusion = image_confusion(sample.to_dict(), predictions, num_classes, no_class=no_class_of(dataset))
            counts = PixelCounts.of(confusion)
            name = image_name(dataset, sample.img_path)
            self.records.add(ImageRecord(name, (counts,), [sample.get("predict_seconds")]))


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
    """Shows a progress bar on a terminal; elsewhere the log has the progress.

    Args:
        title: What stands before the bar.
        done: Images that an earlier run has done.
    """

    def __init__(self, title: str | None = None, done: int = 0) -> None:
        self.title = title
        self.done = done

    def before_test(self, runner: Runner) -> None:
        """Open the bar."""
        disable = None if is_main_process() else True  # None: off where the output is no terminal
        self._left = len(runner.test_dataloader.dataset)
        total = self.done + self._left
        self._bar = tqdm(desc=self.title, total=total, initial=self.done, unit="image", disable=disable)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Batch | None = None, outputs: Sequence[SegDataSample] = ()
    ) -> None:
        """Advance by one batch in every process."""
        step = min(len(outputs) * runner.world_size, self._left)
        self._left -= step
        self._bar.update(step)

    def after_test(self, runner: Runner) -> None:
        """Close the bar."""
        self._bar.close()


def _segmentor(runner: Runner) -> SegEarthOV3Segmentor:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if not isinstance(model, SegEarthOV3Segmentor):
        raise OptionError(f"expected the model SegEarthOV3Segmentor, got {type(model).__name__}")
    return model


def check_inputs_kept(dataset: BaseSegDataset, folders: Sequence[Path], cleared: Path | None = None) -> None:
    """Refuse to replace or remove an image or a label of the data that are evaluated.

    Args:
        dataset: The data.
        folders: Folders for PNGs of all images.
        cleared: Folder that will be removed with all that is in it; None for none.

    Raises:
        OptionError: An image or a label is among them.
    """
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    places = {os.path.realpath(path): path for info in infos for path in input_paths(info).values()}
    for folder in folders:
        for info in infos:
            target = _picture_path(folder, image_name(dataset, info["img_path"]))
            if os.path.realpath(target) in places:
                raise OptionError(
                    f"cannot write {target}: it is an image or a label of the data; choose another folder"
                )
    for place, path in places.items():
        if cleared is not None and Path(place).is_relative_to(os.path.realpath(cleared)):
            raise OptionError(f"{path} lies in {cleared}, where predictions are written; choose another --out")


def _picture_path(folder: Path, name: str) -> Path:
    """Where the PNG of an image goes, by the image's name."""
    return (folder / name).with_suffix(".png")


def _target(folder: Path, runner: Runner, sample: SegDataSample) -> Path:
    """Where the PNG of an image goes; its folder is made."""
    path = _picture_path(folder, image_name(runner.test_dataloader.dataset, sample.img_path))
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
