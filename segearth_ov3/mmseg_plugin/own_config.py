"""The configuration of an evaluation of your own images and labels, as the text of a file that the tools read."""

from __future__ import annotations

import pprint
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..datasets.label_values import ColorTable
from .configuration import load_config

HEADER = """# Images and labels of your own, written by segearth-ov3 evaluate.
#
# Command:    python tools/test.py THIS_FILE; tools/ablate.py and tools/benchmark.py take it too.
#             If the data moved: --data-root DIR; other weights: --checkpoint PATH
"""

# the entries of configs/_base_/default_runtime.py, which is not installed with the package
RUNTIME: dict[str, Any] = {
    "default_scope": "mmseg",
    "custom_imports": {"imports": ["segearth_ov3.mmseg_plugin"], "allow_failed_imports": False},
    "model_wrapper_cfg": {"type": "InferenceWrapper"},
    "test_evaluator": [],
    "test_cfg": {"type": "TestLoop"},
    "default_hooks": {
        "timer": {"type": "IterTimerHook"},
        "logger": {"type": "LoggerHook", "interval": 50, "log_metric_by_epoch": False},
        "param_scheduler": None,
        "checkpoint": None,
    },
    "custom_hooks": [],
    "env_cfg": {
        "cudnn_benchmark": False,
        "mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0},
        "dist_cfg": {"backend": "nccl"},
    },
    "log_level": "INFO",
    "log_processor": {"by_epoch": False},
    "load_from": None,
    "resume": False,
}
LOADER: dict[str, Any] = {
    "batch_size": 1,
    "num_workers": 2,
    "persistent_workers": False,
    "sampler": {"type": "DefaultSampler", "shuffle": False},
}


def label_step(colors: ColorTable | None) -> dict[str, Any]:
    """Return the step of the pipeline that loads labels: indices, or colours where a table of them is given."""
    if colors is None:
        return {"type": "LoadLabels"}
    return {"type": "LoadColorAnnotations", "colors": colors.colors, "indices": colors.indices, "unknown": "error"}


def pipeline(labels: Mapping[str, Any], reading: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the steps that load a picture and its label.

    Args:
        labels: The step that loads labels.
        reading: How pictures are read, as `LoadPicture` takes it; None or empty leaves 8-bit pictures as they are.
    """
    picture: dict[str, Any] = {
        "type": "LoadPicture",
        "color_type": "color_ignore_orientation",
        "imdecode_backend": "pillow",
    }
    if reading:
        picture["reading"] = dict(reading)
    return [picture, dict(labels), {"type": "PackSegInputs"}]


def config_text(
    name: str,
    model: Mapping[str, Any],
    dataset: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    *,
    headline: str | None = None,
    loader: Mapping[str, Any] | None = None,
) -> str:
    """Write a configuration.

    Args:
        name: Name of the set in results.
        model: Arguments of `SegEarthOV3Segmentor`.
        dataset: Arguments of `LabelledImages`.
        steps: The pipeline.
        headline: Class whose IoU is the headline, or "mIoU"; None chooses by the names of two classes.
        loader: Entries of the data loader other than the defaults.

    Returns:
        Python text without references to other files.
    """
    data = {"type": "LabelledImages", **dataset, "pipeline": list(steps), "test_mode": True}
    entries = {
        "dataset_name": name,
        "headline": headline,
        "model": {"type": "SegEarthOV3Segmentor", **model},
        "test_dataloader": {**LOADER, **(loader or {}), "dataset": data},
        **RUNTIME,
    }
    texts = (f"{key} = {pprint.pformat(value, width=110, sort_dicts=False)}" for key, value in entries.items())
    return HEADER + "\n".join(texts) + "\n"


def load_text(text: str, name: str) -> Config:
    """Read a configuration from its text, as if from a file of that name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_text(text, encoding="utf-8")
        return load_config(path)
