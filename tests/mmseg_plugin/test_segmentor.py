"""The segmentor: what reaches the network, what comes back, and what is refused."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from fake_model import BrokenSam3
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from segearth_ov3.errors import OptionError, ScoreError, ShapeError, VocabularyError
from segearth_ov3.mmseg_plugin.segmentor import (
    InferenceWrapper,
    Network,
    SegEarthOV3DataPreprocessor,
    SegEarthOV3Segmentor,
)
from segearth_ov3.refiners.smoothing import Smoothing
from segearth_ov3.segmenter import Segmenter

pytestmark = pytest.mark.mmseg


def image(height: int, width: int, value: int = 0) -> torch.Tensor:
    """A loaded image (3, H0, W0), blue, green, red, with a class index in its red channel."""
    pixels = torch.zeros(3, height, width, dtype=torch.uint8)
    pixels[2] = value
    return pixels


def sample(**meta: object) -> SegDataSample:
    return SegDataSample(metainfo=meta)


def test_red_image_as_mmcv_loads_it_reaches_the_network_as_red(recorded, tmp_path):
    from mmcv.transforms import LoadImageFromFile
    from PIL import Image

    Image.fromarray(np.full((3, 4, 3), (255, 0, 0), dtype=np.uint8)).save(tmp_path / "red.png")
    loader = LoadImageFromFile(color_type="color_ignore_orientation", imdecode_backend="pillow")
    loaded = loader({"img_path": str(tmp_path / "red.png")})["img"]
    model = recorded()
    model.test_step({"inputs": [torch.from_numpy(loaded.transpose(2, 0, 1).copy())], "data_samples": None})
    assert model.segmenter.images[0].shape == (3, 4, 3)
    assert (model.segmenter.images[0] == torch.tensor([255, 0, 0])).all()


def test_pipeline_that_loads_rgb_is_taken_as_it_is(recorded):
    model = recorded(data_preprocessor={"type": "mmseg.SegEarthOV3DataPreprocessor", "channel_order": "rgb"})
    pixels = torch.arange(24, dtype=torch.uint8).reshape(3, 2, 4)
    model.test_step({"inputs": [pixels], "data_samples": None})
    assert torch.equal(model.segmenter.images[0], pixels.permute(1, 2, 0))


def test_images_of_a_batch_may_differ_in_size(recorded):
    model = recorded()
    inputs, samples = [image(3, 5, 1), image(4, 2, 0)], [sample(ori_shape=(3, 5)), sample(ori_shape=(4, 2))]
    results = model.test_step({"inputs": inputs, "data_samples": samples})
    assert [tuple(result.pred_sem_seg.data.shape) for result in results] == [(1, 3, 5), (1, 4, 2)]
    assert [result.pred_sem_seg.data.unique().tolist() for result in results] == [[1], [0]]


def test_stacked_batch_is_taken_apart(recorded):
    results = recorded().test_step({"inputs": torch.stack([image(2, 3, 1), image(2, 3, 0)]), "data_samples": None})
    assert [tuple(result.pred_sem_seg.data.shape) for result in results] == [(1, 2, 3)] * 2


def test_result_keeps_what_the_pipeline_knows(recorded):
    given = sample(img_path="a/b.png", ori_shape=(2, 2))
    (result,) = recorded().test_step({"inputs": [image(2, 2)], "data_samples": [given]})
    assert result is given
    assert result.img_path == "a/b.png"


def test_result_has_the_time_of_its_prediction(recorded):
    (result,) = recorded().test_step({"inputs": [image(2, 2)], "data_samples": None})
    assert result.predict_seconds > 0


def test_labels_are_int64(recorded):
    (result,) = recorded().test_step({"inputs": [image(2, 2)], "data_samples": None})
    assert result.pred_sem_seg.data.dtype == torch.int64


def test_scores_are_returned_on_request(recorded):
    (result,) = recorded(keep_scores=True).test_step({"inputs": [image(2, 3, 1)], "data_samples": None})
    assert result.seg_logits.data.shape == (2, 2, 3)
    assert (result.seg_logits.data[1] == 1).all()


def test_scores_are_left_out_by_default(recorded):
    (result,) = recorded().test_step({"inputs": [image(2, 3)], "data_samples": None})
    assert "seg_logits" not in result


def test_images_of_one_size_go_through_the_network_together(recorded):
    model = recorded(window=8)
    sizes = [(2, 3), (4, 4), (2, 3), (9, 4), (9, 4), (2, 3)]  # the second size is alone, the third needs windows
    results = model.test_step({"inputs": [image(*size, index % 2) for index, size in enumerate(sizes)]})
    assert model.segmenter.batches == [3]
    for index, (size, result) in enumerate(zip(sizes, results)):
        assert result.pred_sem_seg.data.shape == (1, *size)
        assert (result.pred_sem_seg.data == index % 2).all()
        assert result.predict_seconds > 0


def test_scores_of_batches_are_those_of_single_images(recorded):
    model = recorded(keep_scores=True)
    batch = model.test_step({"inputs": [image(2, 3, value) for value in (0, 1)], "data_samples": None})
    for value, result in enumerate(batch):
        assert result.seg_logits.data.shape == (2, 2, 3)
        assert (result.seg_logits.data[value] == 1).all()


def test_scaled_image_is_refused(recorded):
    with pytest.raises(OptionError, match=r"as loaded, \(4, 6\), got \(2, 3\) from the pipeline; leave Resize and Pad"):
        recorded().test_step({"inputs": [image(2, 3)], "data_samples": [sample(ori_shape=(4, 6))]})


def test_flipped_image_is_refused(recorded):
    with pytest.raises(OptionError, match="leave RandomFlip out"):
        recorded().test_step({"inputs": [image(2, 3)], "data_samples": [sample(ori_shape=(2, 3), flip=True)]})


def test_image_in_floating_point_is_refused():
    with pytest.raises(OptionError, match=r"uint8, got torch.float32; leave to_float32"):
        SegEarthOV3DataPreprocessor()({"inputs": [image(2, 3).float()]})


@pytest.mark.parametrize("shape", [(1, 4, 5), (4, 5), (4, 4, 5)])
def test_image_without_three_channels_is_refused(shape):
    with pytest.raises(ShapeError, match=r"loaded images \(3, H0, W0\)"):
        SegEarthOV3DataPreprocessor()({"inputs": [torch.zeros(shape, dtype=torch.uint8)]})


def test_unknown_channel_order_is_refused():
    with pytest.raises(OptionError, match="'bgr' or 'rgb', got 'grb'"):
        SegEarthOV3DataPreprocessor(channel_order="grb")


@pytest.mark.parametrize("mode", ["loss", "tensor"])
def test_other_modes_say_that_only_prediction_is_possible(recorded, mode):
    with pytest.raises(OptionError, match=f"only predicts .*{mode!r} was asked for"):
        recorded()([image(2, 2)], [sample()], mode=mode)


def test_unknown_keyword_is_an_error_also_through_the_registry(recorded):
    config = {"type": "mmseg.SegEarthOV3Segmentor", "vocabulary": ["a"], "prob_treshold": 0.5}
    with pytest.raises(TypeError, match="prob_treshold"):
        MODELS.build(config)


def test_settings_reach_the_segmenter(recorded):
    settings = {
        "refiners": (Smoothing(weight=0.1),),
        "prob_threshold": 0.1,
        "confidence_threshold": 0.2,
        "use_semantic": False,
        "use_instance": True,
        "presence": "gate_only",
        "window": 512,
        "stride": 256,
        "prompt_chunk": 3,
    }
    assert recorded(**settings).segmenter.settings == settings


def test_defaults_are_those_of_the_segmenter():
    own = inspect.signature(SegEarthOV3Segmentor).parameters
    shared = {name: entry for name, entry in inspect.signature(Segmenter).parameters.items() if name in own}
    assert len(shared) >= 9
    for name, entry in shared.items():
        if name != "vocabulary":
            assert own[name].default == entry.default, name


def test_weights_are_loaded_to_the_device_and_dtype_asked_for(recorded):
    path, options = recorded(device="cuda:1", dtype="bfloat16").segmenter.model
    assert (path, options) == ("dir/sam3.pt", {"device": "cuda:1", "dtype": torch.bfloat16})


@pytest.mark.skipif(torch.cuda.is_available(), reason="the default is the accelerator here")
def test_device_defaults_to_the_cpu_where_there_is_no_accelerator(recorded):
    assert recorded().segmenter.model[1]["device"] == "cpu"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("dtype", "float64", "expected dtype float32, bfloat16 or float16, got float64"),
        ("prob_threshold", "half", "expected prob_threshold as a number, got 'half'"),
        ("confidence_threshold", True, "expected confidence_threshold as a number, got True"),
        ("presence", "no", "expected presence as one of full, gate_only, off, got 'no'"),
        ("use_presence", False, "use_presence was replaced by presence: expected presence='full' for True"),
        ("background", 1.0, "expected background as a whole number or None, got 1.0"),
        ("window", "512", "expected window as a whole number or None, got '512'"),
    ],
)
def test_value_of_another_type_is_refused(recorded, option, value, message):
    with pytest.raises(OptionError, match=message):
        recorded(**{option: value})


def test_vocabulary_is_read_from_a_file(recorded, tmp_path):
    (tmp_path / "words.txt").write_text("background\nbuilding,house\n", encoding="utf-8")
    words = recorded(vocabulary=str(tmp_path / "words.txt"), background=1).segmenter.vocabulary
    assert (words.prompts, words.background) == (("background", "building", "house"), 1)


def test_missing_vocabulary_is_found_before_the_weights_are_loaded(monkeypatch):
    monkeypatch.setattr("segearth_ov3.mmseg_plugin.segmentor.load_sam3", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(VocabularyError, match=r"cannot read the vocabulary file nowhere\.txt"):
        SegEarthOV3Segmentor("nowhere.txt", "sam3.pt")


def test_description_names_checkpoint_and_settings(recorded):
    described = recorded(prob_threshold=0.25).describe()
    assert (described["checkpoint"], described["prob_threshold"]) == ("sam3.pt", 0.25)
    assert described["checkpoint_sha256"] == "0123456789abcdef"


def test_description_names_the_checkpoint_of_the_environment(recorded, monkeypatch):
    monkeypatch.setenv("SEGEARTH_OV3_CHECKPOINT", "/weights/own.safetensors")
    assert recorded(checkpoint=None).describe()["checkpoint"] == "own.safetensors"


def test_network_is_no_part_of_the_module(recorded):
    assert list(recorded().parameters()) == []


def test_wrapper_of_a_distributed_run_predicts_like_the_model(recorded):
    model = recorded()
    (result,) = InferenceWrapper(model).test_step({"inputs": [image(2, 3, 1)], "data_samples": None})
    assert (result.pred_sem_seg.data == 1).all()


@pytest.mark.parametrize("lines", [["building"], ["building, road, tree"]])
def test_one_class_is_refused_before_weights_are_loaded(recorded, lines):
    with pytest.raises(VocabularyError, match=r"there is one class, 'building'.*every pixel would get it"):
        recorded(vocabulary=lines)
    assert recorded(vocabulary=lines, keep_scores=True).keep_scores


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("keep_scores", [False, True])
def test_scores_that_are_not_finite_end_the_evaluation(images, keep_scores):
    network = Network(BrokenSam3("semantic_logits", float("nan")), "broken.safetensors", "0")
    model = SegEarthOV3Segmentor(["building", "house", "road"], network=network, keep_scores=keep_scores)
    with pytest.raises(ScoreError, match="scores are not finite"):
        model.test_step({"inputs": [image(70, 80)] * images, "data_samples": None})


def test_classes_can_be_built_within_mmsegs_scope(recorded):
    DefaultScope.get_instance("segmentor_test", scope_name="mmseg")
    model = MODELS.build({"type": "SegEarthOV3Segmentor", "vocabulary": ["a", "b"], "checkpoint": "x"})
    assert isinstance(model, SegEarthOV3Segmentor)
