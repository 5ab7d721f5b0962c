"""One pass of many variants over the dataset of a configuration."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.datasets import BaseSegDataset
from mmseg.registry import MODELS
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from ..engine.engine import MemoryView
from ..engine.observer import TokenObserver
from ..engine.predictor import VariantPredictor
from ..engine.variants import VariantClock
from ..errors import SegEarthError
from .ablation import NamedVariant
from .metrics import image_confusion, no_class_of
from .records import ImageRecord, PixelCounts, RecordFile, image_files, image_name, image_names
from .segmentor import SegEarthOV3Segmentor


class AblationRun:
    """Measures variants image by image; each gives the scores that `tools/test.py` would give it alone.

    A variant that raises is left out from then on, with the reason in `failures`; the others continue.

    Args:
        config: The configuration; refiners of its model are left out, as the baseline has none.
        variants: The baseline first, see `ablation`.
        dataset: Dataset of the configuration, as `check_before_loading` returns it.
        diagnostics: Also measure the tokens without labels.

    Attributes:
        failures: Why variants have failed, by name.

    Raises:
        SegEarthError: The weights or a setting cannot be used.
    """

    def __init__(
        self, config: Config, variants: Sequence[NamedVariant], dataset: BaseSegDataset, *, diagnostics: bool = False
    ) -> None:
        self.config = config
        self.variants = list(variants)
        self.dataset = dataset
        self.failures: dict[str, str] = {}
        self._diagnostics = diagnostics
        model = {key: value for key, value in config.model.items() if key != "refiners"}
        self.segmentor: SegEarthOV3Segmentor = MODELS.build(model)
        self._start_predictor()

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in label order."""
        return list(self.dataset.metainfo["classes"])

    @property
    def data(self) -> dict[str, Any]:
        """The dataset's section of the configuration, in plain JSON types."""
        return dict(self.config.test_dataloader.dataset.to_dict())

    def names(self) -> list[str]:
        """Names of all images below the dataset's folder, in order."""
        return image_names(self.dataset)

    def open_records(self, path: Path) -> RecordFile:
        """Open the record file of this run, with what an interrupted one has left; its failed variants stay out.

        Raises:
            OptionError: It holds another run.
        """
        configuration = self.segmentor.describe()
        del configuration["checkpoint"]  # weights are compared by content, not by name
        subject = {
            "configuration": configuration,
            "data": self.data,
            "variants": [named.describe() for named in self.variants],
            "diagnostics": self._diagnostics,
        }
        file = RecordFile(path, subject, len(self.classes), image_files(self.dataset))
        for record in file.records.values():
            self._leave_out(record.failures)
        return file

    def measure(self, names: set[str]) -> Iterator[ImageRecord]:
        """Measure the images of the names given; the first one's time is that of a cold start, and left out."""
        for number, (image, sample) in enumerate(self._load(names)):
            record = self._measure_one(image, sample)
            if number == 0:
                record = record._replace(seconds=[None] * len(self.variants), total_seconds=None)
            yield record

    def compare(self, names: set[str], variant: int) -> Iterator[tuple[str, list[tuple[str, np.ndarray]]]]:
        """Predict some images once more, by the baseline and one variant.

        Yields:
            Name of an image, and titles with contents for `geo.overlay.render_panels`: image, label, both predictions.
        """
        pair = [self.variants[0], self.variants[variant]]
        predictor = self._predictor(pair, None)
        for image, sample in self._load(names):
            panels = [
                ("image", image.cpu().numpy()),
                ("label", sample["gt_sem_seg"]["data"].squeeze(0).cpu().numpy()),
                *((named.name, labels) for named, labels in zip(pair, predictor.labels(image).cpu().numpy())),
            ]
            yield image_name(self.dataset, sample["img_path"]), panels

    def _start_predictor(self) -> None:
        """Make the predictor of all variants that have not failed."""
        self._active = [index for index, named in enumerate(self.variants) if named.name not in self.failures]
        active = [self.variants[index] for index in self._active]
        network, settings = self.segmentor.segmenter.model, active[0].variant.settings
        self._observer = _TimedObserver(TokenObserver(network, len(active), settings)) if self._diagnostics else None
        self.predictor = self._predictor(active, self._observer)

    def _leave_out(self, failures: Mapping[str, str]) -> None:
        """Go on without some variants."""
        if not failures.keys() <= self.failures.keys():
            self.failures.update(failures)
            self._start_predictor()

    def _predictor(self, variants: Sequence[NamedVariant], observer: _TimedObserver | None) -> VariantPredictor:
        segmenter = self.segmentor.segmenter
        return VariantPredictor(
            segmenter.model,
            segmenter.vocabulary,
            [named.variant for named in variants],
            window=segmenter.window,
            stride=segmenter.stride,
            prompt_chunk=segmenter.prompt_chunk,
            observe=observer,
        )

    def _load(self, names: set[str]) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        """Images (H0, W0, 3) and what the pipeline knows of them, in the order of the dataset."""
        wanted = [index for index, name in enumerate(self.names()) if name in names]
        workers = self.config.test_dataloader.get("num_workers", 0)
        loader = DataLoader(Subset(self.dataset, wanted), batch_size=1, num_workers=workers, collate_fn=pseudo_collate)
        for batch in loader:
            data = self.segmentor.data_preprocessor(batch)
            for image, sample in zip(data["inputs"], data["data_samples"]):
                yield image.permute(1, 2, 0), sample.to_dict()

    def _measure_one(self, image: Tensor, sample: dict[str, Any]) -> ImageRecord:
        """Predict one image by all variants and count; variants that raise are left out."""
        name = image_name(self.dataset, sample["img_path"])
        try:
            measured = self._predict(image)
        except Exception:
            if not (failing := self._find_failing(image)):
                raise  # not the fault of one variant
            self._leave_out({variant: f"{reason} (on {name})" for variant, reason in failing.items()})
            measured = self._predict(image)
        confusions = [
            image_confusion(sample, each, len(self.classes), no_class=no_class_of(self.dataset))
            for each in measured.labels
        ]
        every = len(self.variants)
        counts: list[PixelCounts | None] = [None] * every
        seconds: list[float | None] = [None] * every
        diagnostics = None if measured.diagnostics is None else np.full((every, measured.diagnostics.shape[1]), np.nan)
        for place, index in enumerate(self._active):
            counts[index], seconds[index] = PixelCounts.of(confusions[place]), measured.seconds[place]
            if diagnostics is not None and measured.diagnostics is not None:
                diagnostics[index] = measured.diagnostics[place]
        return ImageRecord(name, tuple(counts), seconds, measured.total_seconds, diagnostics, dict(self.failures))

    def _predict(self, image: Tensor) -> _Measured:
        """Predict one image by the variants that have not failed."""
        clock = VariantClock(len(self._active), self.predictor.model.device)
        aside = self._observer.seconds if self._observer else 0.0
        start = time.perf_counter()
        labels = self.predictor.labels(image, clock=clock).cpu().numpy()  # (K, H0, W0)
        total = time.perf_counter() - start
        diagnostics = None
        if self._observer:
            total -= self._observer.seconds - aside
            diagnostics = np.array([[float(x) for x in numbers] for numbers in self._observer.inner.take()])
        return _Measured(labels, list(clock.seconds), total, diagnostics)

    def _find_failing(self, image: Tensor) -> dict[str, str]:
        """Predict an image by each variant beside the baseline, and say why the failing ones fail.

        Raises:
            Exception: What the baseline alone raises.
        """
        baseline, *others = (self.variants[index] for index in self._active)
        self._predictor([baseline], None).labels(image)
        reasons = {named.name: self._failure_of([baseline, named], image) for named in others}
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def _failure_of(self, pair: Sequence[NamedVariant], image: Tensor) -> str | None:
        """Why the baseline and one variant cannot predict an image; None if they can."""
        try:
            self._predictor(pair, None).labels(image)
        except Exception as error:
            return _reason(error)
        return None


class _Measured(NamedTuple):
    """One image by the k variants that have not failed: labels (k, H0, W0), times, and diagnostics (k, 3)."""

    labels: np.ndarray
    seconds: list[float]
    total_seconds: float
    diagnostics: np.ndarray | None


def _reason(error: Exception) -> str:
    """An exception on one line; one that is not this package's own with its type and the line that raised it."""
    text = " ".join(str(error).split())
    if isinstance(error, SegEarthError):
        return text
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text}, at {Path(last.filename).name} line {last.lineno}"


class _TimedObserver:
    """A token observer that knows how long it took, so that diagnostics do not count as cost of the variants."""

    def __init__(self, observer: TokenObserver) -> None:
        self.inner = observer
        self.seconds = 0.0

    def __call__(self, view: MemoryView) -> None:
        start = time.perf_counter()
        self.inner(view)
        self.seconds += time.perf_counter() - start
