"""What is said about labels before the weights are loaded."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segearth_ov3.datasets.label_notes import note_absent_classes
from segearth_ov3.errors import DatasetError, DatasetWarning, OptionError
from segearth_ov3.mmseg_plugin.datasets import build_dataset
from segearth_ov3.mmseg_plugin.label_checks import check_labels

pytestmark = pytest.mark.mmseg

PIPELINE = [
    {"type": "mmseg.LoadPicture", "imdecode_backend": "pillow"},
    {"type": "mmseg.LoadLabels"},
    {"type": "mmseg.PackSegInputs"},
]


def own_set(root: Path, *labels: np.ndarray, **options: object) -> dict[str, object]:
    """Write images with these labels; returns the section of a configuration."""
    for folder in ("images", "labels"):
        (root / folder).mkdir(exist_ok=True)
    for number, label in enumerate(labels):
        Image.fromarray(label).save(root / f"labels/{number}.png")
        Image.new("RGB", label.shape[::-1]).save(root / f"images/{number}.jpg")
    options = {"classes": ["background", "building"], **options}
    return {"type": "mmseg.LabelledImages", "data_root": str(root), "images": "images", "labels": "labels", **options}


def check(config: dict[str, object]) -> None:
    check_labels(build_dataset({"pipeline": PIPELINE, **config}))


def mask(*values: int, dtype: str = "uint8") -> np.ndarray:
    return np.array([values, values[::-1]], dtype=dtype)


def test_mask_of_0_and_255_names_the_option_for_own_sets(tmp_path):
    with pytest.warns(
        DatasetWarning, match=r"'building' occurs in none of 2 labels, and 25\.0 % .*label_map=255:1"
    ) as told:
        check(own_set(tmp_path, mask(0, 0, 0, 255), mask(0, 0, 255, 0)))
    assert len(told) == 1


def test_mask_of_0_and_255_names_the_option_for_benchmark_sets(tmp_path):
    own_set(tmp_path, mask(0, 0, 0, 255))
    prefix = {"img_path": "images", "seg_map_path": "labels"}
    inria = {"type": "mmseg.BenchmarkDataset", "benchmark": "inria", "data_root": str(tmp_path), "data_prefix": prefix}
    with pytest.warns(DatasetWarning, match="label_map=255:1"):
        check({**inria, "img_suffix": ".jpg"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check({**inria, "img_suffix": ".jpg", "label_map": "255:1"})


def test_mapped_masks_give_no_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(own_set(tmp_path, mask(0, 255), label_map={255: 1}))


def test_class_in_no_label_is_named_with_the_number_of_labels(tmp_path):
    classes = ["background", "building", "road"]
    with pytest.warns(DatasetWarning, match=r"1 of 3 classes occur in none of 2 labels, .*: road"):
        check(own_set(tmp_path, mask(0, 1), mask(0, 0), classes=classes))


def test_labels_of_which_nothing_counts_are_said(tmp_path):
    with pytest.warns(DatasetWarning, match=r"no pixel of 1 labels counts: all are ignored \(255\)"):
        check(own_set(tmp_path, mask(255, 255), classes=["a", "b", "c"]))


def test_many_absent_classes_are_counted():
    note = note_absent_classes(np.eye(1, 256, dtype=int)[0], list("0123456789"), 3)
    assert note.startswith("9 of 10 classes occur in none of 3 labels, ")
    assert note.endswith(": 1, 2, 3, 4, 5 and 4 more")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (mask(0, 1, 2, 7), r"labels/0\.png: values \[2, 7\] are no class; expected 0 to 1, or 255"),
        (mask(0, 256, 259, dtype="uint16"), r"labels/0\.png: values \[256, 259\] are no class"),
    ],
)
def test_values_that_are_no_class_are_named(tmp_path, label, message):
    with pytest.raises(DatasetError, match=message):
        check(own_set(tmp_path, label))


def test_label_of_another_size_is_named_with_both_sizes(tmp_path):
    config = own_set(tmp_path, np.zeros((96, 96), np.uint8))
    Image.new("L", (14000, 14000)).save(tmp_path / "labels/0.png")
    with pytest.raises(DatasetError, match=r"images/0\.jpg has \(96, 96\) pixels and its label .* \(14000, 14000\)"):
        check(config)


def test_picture_with_ambiguous_bands_is_found_before_the_weights(tmp_path):
    import rasterio

    from segearth_ov3.geo.raster import without_georeference_warning

    config = own_set(tmp_path, mask(0, 1))
    (tmp_path / "images/0.jpg").unlink()
    shape = {"count": 5, "height": 2, "width": 2, "dtype": "uint16"}
    with (
        without_georeference_warning(),
        rasterio.open(tmp_path / "images/0.tif", "w", driver="GTiff", **shape) as raster,
    ):
        raster.write(np.ones((5, 2, 2), "uint16"))
    with pytest.raises(DatasetError, match="cannot tell red, green and blue"):
        check(config)


def test_wrong_label_map_is_an_error(tmp_path):
    with pytest.raises(OptionError, match="expected the index of a class, 0 to 1"):
        check(own_set(tmp_path, mask(0, 1), label_map="255:2"))
