"""What the hooks check before a run; what they write is tested with the whole loop in `test_tools_test`."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmseg.evaluation import IoUMetric

from segearth_ov3.errors import OptionError
from segearth_ov3.mmseg_plugin.hooks import ResultsHook, SavePredictionsHook, device_name
from segearth_ov3.mmseg_plugin.metrics import ConfusionMetric
from segearth_ov3.mmseg_plugin.segmentor import InferenceWrapper

pytestmark = pytest.mark.mmseg


def make_runner(model: object, *metrics: object, classes: tuple[str, ...] = ("a", "b")) -> SimpleNamespace:
    """What the hooks use of a runner."""
    dataset = SimpleNamespace(metainfo={"classes": classes}, data_prefix={"img_path": "root/images"})
    return SimpleNamespace(
        model=model,
        test_dataloader=SimpleNamespace(dataset=dataset),
        test_evaluator=SimpleNamespace(metrics=list(metrics)),
    )


@pytest.mark.parametrize("wrap", [lambda model: model, InferenceWrapper], ids=["plain", "distributed"])
def test_vocabulary_that_fits_the_dataset_is_accepted(recorded, wrap):
    ResultsHook().before_test(make_runner(wrap(recorded()), IoUMetric(), ConfusionMetric()))


def test_vocabulary_that_does_not_fit_the_dataset_stops_the_run(recorded):
    runner = make_runner(recorded(), ConfusionMetric(), classes=("a", "b", "c"))
    with pytest.raises(OptionError, match=r"vocabulary has 2 classes and the dataset 3 \(a, b, c\)"):
        ResultsHook().before_test(runner)


def test_missing_confusion_metric_stops_the_run(recorded):
    with pytest.raises(OptionError, match=r"needs dict\(type='ConfusionMetric'\) in test_evaluator"):
        ResultsHook().before_test(make_runner(recorded(), IoUMetric()))


def test_other_model_stops_the_run():
    with pytest.raises(OptionError, match="expected the model SegEarthOV3Segmentor, got Linear"):
        ResultsHook().before_test(make_runner(torch.nn.Linear(1, 1), ConfusionMetric()))


def test_predictions_keep_the_sub_folders_of_their_images(recorded, tmp_path):
    (sample,) = recorded().predict([torch.zeros(3, 2, 4, dtype=torch.uint8)])
    sample.set_metainfo({"img_path": "root/images/town/a.b.jpg"})
    SavePredictionsHook(tmp_path).after_test_iter(make_runner(None), 0, None, [sample])
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")] == ["town/a.b.png"]


def test_device_is_named_with_its_hardware():
    assert device_name("cpu").startswith("cpu (")
