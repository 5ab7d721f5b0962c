"""A part of a dataset shares its transforms, whatever mmengine remembers of datasets before it."""

from __future__ import annotations

import pytest
from mmengine.dataset import BaseDataset

from segearth_ov3.mmseg_plugin.evaluation import _subset

pytestmark = pytest.mark.mmseg


class Numbers(BaseDataset):
    def load_data_list(self):
        return [{"number": number} for number in range(5)]


@pytest.mark.parametrize("serialize", [True, False])
def test_subset_keeps_transforms_and_leaves_the_dataset_alone(monkeypatch, serialize):
    dataset = Numbers(pipeline=[lambda sample: sample], serialize_data=serialize)
    memo = BaseDataset._copy_without_annotation.__defaults__[0]
    monkeypatch.setitem(memo, id(dataset.pipeline), "something of an earlier set")
    assert dataset.get_subset([1]).pipeline == "something of an earlier set"  # why it is not used
    part = _subset(dataset, [1, 3])
    assert [part[index]["number"] for index in range(len(part))] == [1, 3]
    assert len(dataset) == 5
