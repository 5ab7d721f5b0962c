"""What the hooks check before a run; what they write is tested with the whole loop in `test_tools_test`."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from image_records import LabelledFolder
from mmengine.hooks import LoggerHook
from mmengine.runner import get_priority
from mmseg.structures import SegDataSample

from segearth_ov3.errors import DatasetError, OptionError
from segearth_ov3.mmseg_plugin.evaluation import device_name
from segearth_ov3.mmseg_plugin.hooks import PicturesHook, RecordHook, SavePredictionsHook, check_inputs_kept
from segearth_ov3.mmseg_plugin.records import RecordFile

pytestmark = pytest.mark.mmseg


def make_runner(model: object) -> SimpleNamespace:
    """What the hooks use of a runner."""
    metainfo = {"classes": ("a", "b"), "palette": ((0, 0, 0), (1, 1, 1))}
    dataset = SimpleNamespace(metainfo=metainfo, data_prefix={"img_path": "root/images"})
    return SimpleNamespace(model=model, test_dataloader=SimpleNamespace(dataset=dataset))


def test_image_without_a_label_stops_the_run(recorded, tmp_path):
    (sample,) = recorded().predict([torch.zeros(3, 2, 4, dtype=torch.uint8)])
    sample.set_metainfo({"img_path": "root/images/a.jpg"})
    hook = RecordHook(RecordFile(tmp_path / "records", {}, 2))
    with pytest.raises(DatasetError, match=r"a\.jpg: no label"):
        hook.after_test_iter(make_runner(None), 0, None, [sample])


def test_pictures_of_another_model_are_refused(tmp_path):
    with pytest.raises(OptionError, match="expected the model SegEarthOV3Segmentor, got Linear"):
        PicturesHook(tmp_path).after_test_iter(
            make_runner(torch.nn.Linear(1, 1)), 0, {"inputs": [torch.zeros(3, 2, 2)]}, [SegDataSample()]
        )


def test_predictions_keep_the_sub_folders_of_their_images(recorded, tmp_path):
    (sample,) = recorded().predict([torch.zeros(3, 2, 4, dtype=torch.uint8)])
    sample.set_metainfo({"img_path": "root/images/town/a.b.jpg"})
    SavePredictionsHook(tmp_path).after_test_iter(make_runner(None), 0, None, [sample])
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")] == ["town/a.b.png"]


def test_device_is_named_with_its_hardware():
    assert device_name("cpu").startswith("cpu (")


def test_image_is_recorded_after_everything_else_is_done_for_it():
    """Otherwise an interruption between the two would lose its prediction."""
    others = (SavePredictionsHook, PicturesHook, LoggerHook)
    assert get_priority(RecordHook.priority) > max(get_priority(hook.priority) for hook in others)


def test_images_and_labels_are_never_replaced(tmp_path):
    dataset, other = LabelledFolder(tmp_path, "ab"), tmp_path / "other"
    check_inputs_kept(dataset, [other], other)
    with pytest.raises(OptionError, match=r"cannot write .*a\.png: it is an image or a label of the data"):
        check_inputs_kept(dataset, [other, other / ".."])
    with pytest.raises(OptionError, match=r"a\.png lies in .*, where predictions are written"):
        check_inputs_kept(dataset, [], tmp_path)
