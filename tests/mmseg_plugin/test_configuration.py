"""What a configuration says, before anything is loaded."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from segearth_ov3.mmseg_plugin.configuration import headline_of

pytestmark = pytest.mark.mmseg


@pytest.mark.parametrize(
    ("entries", "classes", "expected"),
    [
        ({"dataset_name": "inria"}, ["background", "building"], "building"),
        ({"dataset_name": "inria", "headline": "mIoU"}, ["background", "building"], None),
        ({"dataset_name": "loveda"}, ["background", "building"], None),
        ({"dataset_name": "town"}, ["building", "background"], "building"),
        ({"dataset_name": "town", "headline": "background"}, ["building", "background"], "background"),
    ],
)
def test_headline_is_that_of_the_configuration_then_of_the_facts_then_of_the_names(entries, classes, expected):
    assert headline_of(Config(entries), classes) == expected
