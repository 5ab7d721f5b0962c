"""Files of variants, and what the report is made from; the run itself is tested in `test_tools_ablate`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from image_records import record

from segearth_ov3.engine.scores import FusionSettings
from segearth_ov3.engine.variants import Variant
from segearth_ov3.errors import DatasetError, OptionError, UnknownNameError
from segearth_ov3.metrics.tokens import TokenDiagnostics
from segearth_ov3.mmseg_plugin.ablation import (
    BASELINE,
    NamedVariant,
    expand_sweep,
    read_variants,
    to_runs,
)
from segearth_ov3.refiners.lowpass import Lowpass
from segearth_ov3.refiners.smoothing import Smoothing

pytestmark = pytest.mark.mmseg

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = FusionSettings(prob_threshold=0.1, confidence_threshold=0.4)


def read(folder: Path, text: str, name: str = "variants.py") -> list[NamedVariant]:
    path = folder / name
    path.write_text(text)
    return read_variants(path, SETTINGS)


# ---- files of variants


def test_baseline_comes_first_with_the_settings_of_the_configuration(tmp_path):
    assert read(tmp_path, "variants = [dict(name='a')]\n")[0] == NamedVariant(BASELINE, Variant(SETTINGS), {})


def test_variants_and_points_of_sweeps_come_in_order(tmp_path):
    found = read(
        tmp_path,
        "sweeps = [dict(name='s', refiners=['smoothing'], grid={'smoothing.weight': [0.2, 0.1]}),\n"
        "          dict(name='t', grid={'prob_threshold': [0.3]})]\n"
        "variants = [dict(name='b'), dict(name='a')]\n",
    )
    assert [each.name for each in found] == [BASELINE, "b", "a", "s weight=0.2", "s weight=0.1", "t prob_threshold=0.3"]


def test_variant_has_its_refiners_and_settings(tmp_path):
    _, found = read(
        tmp_path,
        "variants = [dict(name='a', prob_threshold=0.3, presence='off', refiners=[\n"
        "    dict(type='smoothing', weight=0.5, at='trunk'), 'lowpass:alpha=0.4'])]\n",
    )
    settings = FusionSettings(prob_threshold=0.3, confidence_threshold=0.4, presence="off")
    chain = (Smoothing(weight=0.5, at="trunk"), Lowpass(alpha=0.4))
    changed = {"prob_threshold": 0.3, "presence": "off"}
    assert found == NamedVariant("a", Variant(settings, chain), changed)


def test_function_of_the_file_is_a_refiner(tmp_path):
    text = "def invert(tokens, context):\n    return -tokens\n\n"
    text += "variants = [dict(name='a', refiners=[dict(type=invert)])]\n"
    (refiner,) = read(tmp_path, text)[1].variant.refiners
    assert (refiner.function(3, None), refiner.at) == (-3, "memory")


def test_variants_may_be_yaml(tmp_path):
    text = "variants:\n- name: a\n  refiners:\n  - type: smoothing\n    weight: 0.5\n"
    assert read(tmp_path, text, "variants.yaml")[1].variant.refiners == (Smoothing(weight=0.5),)


def test_description_is_json_and_complete(tmp_path):
    text = "sweeps = [dict(name='s', refiners=['smoothing:at=trunk'], grid={'prob_threshold': [0.3]})]\n"
    described = read(tmp_path, text)[1].describe()
    assert json.loads(json.dumps(described)) == {
        "name": "s prob_threshold=0.3",
        "refiners": [{"type": "smoothing", "weight": 0.2, "kernel_size": 3, "mode": "residual", "at": "trunk"}],
        "settings": {"prob_threshold": 0.3},
        "sweep": "s",
        "parameters": {"prob_threshold": 0.3},
    }


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "refiners").glob("*.py")), ids=lambda path: path.stem)
def test_files_of_the_toolkit_are_read(path):
    found = read_variants(path, SETTINGS)
    assert len(found) > 2
    assert all(each.variant != found[0].variant for each in found[1:] if each.refiners)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("variants = [dict(name='a', prob_treshold=0.3)]", "variant 'a' has an unknown field 'prob_treshold', known: "),
        ("variants = [dict(name='a', prob_treshold=0.3)]", "did you mean 'prob_threshold'"),
        ("variants = [dict(name='a', refiner=[])]", "unknown field 'refiner', known: refiners, .* mean 'refiners'"),
        ("variants = [dict(name='a', grid=dict())]", "variant 'a' has an unknown field 'grid'"),
        ("variants = [dict(refiners=['smoothing'])]", "expected a name for each variant, got {'refiners'"),
        ("variants = [dict(name='')]", "expected a name for each variant"),
        ("variants = [dict(name=3)]", "expected a name for each variant"),
        ("variants = [dict(name='a'), dict(name='b'), dict(name='a')]", "of its own for each variant, got twice: a$"),
        ("variants = [dict(name='no refiner')]", "of its own for each variant, got twice: no refiner"),
        ("sweeps = [dict(name='s', grid=dict(prob_threshold=[0.1, 0.1]))]", "got twice: s prob_threshold=0.1"),
        ("variants = []", "has neither variants nor sweeps"),
        ("model = dict(type='A')", "expected variants and sweeps only, got also model"),
        ("variants = dict(name='a')", r"expected variants = \[dict\(name=...\), ...\], got {'name': 'a'}"),
        ("variants = ['smoothing']", r"expected variants = \[dict\(name=...\), ...\], got \['smoothing'\]"),
        ("sweeps = dict(name='s')", r"expected sweeps = \[dict\(name=...\), ...\], got {'name': 's'}"),
        ("variants = [dict(name='a', refiners='smoothing')]", r"got one: 'smoothing'; put it into \[ \]"),
        ("variants = [dict(name='a', prob_threshold=2)]", "prob_threshold must lie in 0 to 1, got 2"),
        ("variants = [dict(name='a', use_semantic=False, use_instance=False)]", "both off"),
        ("variants = [dict(name='a', refiners=['smoothing:wieght=1'])]", "smoothing has no parameter wieght"),
        ("variants = [dict(name='a'", "variants.py is no file of variants: "),
        ("variants = [name]", "variants.py is no file of variants: name 'name' is not defined"),
    ],
)
def test_mistake_in_the_file_is_told(tmp_path, text, message):
    with pytest.raises(OptionError, match=message):
        read(tmp_path, text + "\n")


def test_threshold_that_is_no_number_is_told(tmp_path):
    with pytest.raises(OptionError, match="prob_threshold"):
        read(tmp_path, "variants = [dict(name='a', prob_threshold='0.3')]\n")


def test_switch_that_is_no_truth_value_is_told(tmp_path):
    with pytest.raises(OptionError, match="expected use_semantic as True or False"):
        read(tmp_path, "variants = [dict(name='a', use_semantic='False')]\n")


def test_removed_use_presence_points_to_presence(tmp_path):
    with pytest.raises(OptionError, match=r"unknown field 'use_presence'.*did you mean 'presence'\?"):
        read(tmp_path, "variants = [dict(name='a', use_presence=False)]\n")


def test_unknown_refiner_lists_the_known_ones(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown refiner 'blur', known: clip_similarity"):
        read(tmp_path, "variants = [dict(name='a', refiners=['blur'])]\n")


def test_missing_file_is_told(tmp_path):
    with pytest.raises(OptionError, match=r"no such file of variants: .*nowhere.py; configs/refiners has some"):
        read_variants(tmp_path / "nowhere.py", SETTINGS)


def test_file_of_another_kind_is_told(tmp_path):
    with pytest.raises(OptionError, match=r"variants.txt is no file of variants: Only py/yml/yaml/json"):
        read(tmp_path, "variants = []\n", "variants.txt")


# ---- sweeps


def test_last_parameter_of_a_grid_runs_fastest():
    sweep = {"name": "s", "refiners": ["smoothing"], "grid": {"smoothing.weight": [1, 2], "prob_threshold": [0.3, 0.2]}}
    points = list(expand_sweep(sweep))
    assert [tuple(point["parameters"].values()) for point in points] == [(1, 0.3), (1, 0.2), (2, 0.3), (2, 0.2)]
    assert [point["name"] for point in points][:2] == [
        "s weight=1, prob_threshold=0.3",
        "s weight=1, prob_threshold=0.2",
    ]
    assert {point["sweep"] for point in points} == {"s"}


def test_parameter_is_set_in_its_refiner_and_nowhere_else():
    chain = [{"type": "smoothing", "weight": 9}, "lowpass:alpha=0.4", {"type": "smoothing"}]
    sweep = {"name": "s", "refiners": chain, "use_semantic": False, "grid": {"smoothing.weight": [0.1, 0.2]}}
    first, second = expand_sweep(sweep)
    for point, weight in ((first, 0.1), (second, 0.2)):
        assert point["refiners"] == [
            {"type": "smoothing", "weight": weight},
            {"type": "lowpass", "alpha": 0.4},
            {"type": "smoothing", "weight": weight},
        ]
        assert point["use_semantic"] is False
        assert "grid" not in point


def test_expanding_leaves_the_sweep_as_it_was():
    sweep = {"name": "s", "refiners": [{"type": "smoothing", "weight": 9}], "grid": {"smoothing.weight": [0.1]}}
    list(expand_sweep(sweep))
    assert sweep["refiners"] == [{"type": "smoothing", "weight": 9}]


def test_setting_of_a_grid_takes_the_place_of_the_given_one():
    (point,) = expand_sweep({"name": "s", "prob_threshold": 0.9, "grid": {"prob_threshold": [0.2]}})
    assert point["prob_threshold"] == 0.2


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"name": "s"}, r"sweep 's': expected grid={'smoothing.weight': \[0.1, 0.2\]}, got None"),
        ({"name": "s", "grid": {}}, "sweep 's': expected grid=.*, got {}"),
        ({"name": "s", "grid": [0.1]}, r"sweep 's': expected grid=.*, got \[0.1\]"),
        ({"name": "s", "grid": {"prob_threshold": []}}, "sweep 's': expected grid="),
        ({"name": "s", "grid": {"prob_threshold": 0.1}}, "sweep 's': expected grid="),
        ({"name": "s", "grid": {"prob_threshold": "low"}}, "sweep 's': expected grid="),
        ({"grid": {"prob_threshold": [0.1]}}, "expected a name for each sweep"),
        ({"name": "s", "refiners": {"type": "smoothing"}, "grid": {"smoothing.weight": [1]}}, "expected a list of ref"),
        (
            {"name": "s", "refiners": ["lowpass", "graph_laplacian"], "grid": {"smoothing.weight": [0.1]}},
            "sweep 's': grid key 'smoothing.weight' names a refiner that is not there: lowpass, graph_laplacian",
        ),
        ({"name": "s", "grid": {"smoothing.weight": [0.1]}}, "names a refiner that is not there: none"),
    ],
    ids=str,
)
def test_mistake_in_a_sweep_is_told(sweep, message):
    with pytest.raises(OptionError, match=message):
        list(expand_sweep(sweep))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("prob_treshold", "unknown field 'prob_treshold', .* mean 'prob_threshold'"),
        ("smoothing.wieght", "smoothing has no parameter wieght"),
    ],
)
def test_unknown_parameter_of_a_grid_is_told(tmp_path, key, message):
    with pytest.raises(OptionError, match=message):
        read(tmp_path, f"sweeps = [dict(name='s', refiners=['smoothing'], grid={{'{key}': [0.1]}})]\n")


# ---- runs for the report


def named(*names: str) -> list[NamedVariant]:
    return [
        NamedVariant(name, Variant(SETTINGS, (Smoothing(weight=0.5),) * index), {"a": index}, "sweep", {"b": index})
        for index, name in enumerate(names)
    ]


def test_run_of_a_variant_has_its_share_of_every_record():
    records = [record("a", 0), record("b", 1, seconds=[None, None]), record("c", 2)]
    runs = to_runs(named("first", "second"), records)
    for index, run in enumerate(runs):
        assert run.name == ("first", "second")[index]
        np.testing.assert_array_equal(run.confusions, [each.confusion(index) for each in records])
        assert list(run.image_seconds) == [each.seconds[index] for each in records]
        assert (run.settings, run.sweep, run.parameters) == ({"a": index}, "sweep", {"b": index})
        assert [refiner["type"] for refiner in run.refiners] == ["smoothing"] * index


def test_diagnostics_are_means_over_images_before_and_after():
    records = [record("a", 0), record("b", 1)]
    runs = to_runs(named("first", "second"), records)
    for index, run in enumerate(runs):
        for column, name in enumerate(TokenDiagnostics._fields):
            before, after = run.diagnostics[name]
            assert before == pytest.approx(np.mean([each.diagnostics[0, column] for each in records]))
            if (index, column) == (1, 2):
                assert after is None  # undefined in all images
            else:
                assert after == pytest.approx(np.mean([each.diagnostics[index, column] for each in records]))


def test_diagnostics_leave_out_images_where_they_are_undefined():
    known = record("b", 1)
    known.diagnostics[1, 2] = 5.0
    _, run = to_runs(named("first", "second"), [record("a", 0), known])
    assert run.diagnostics["boundary_sharpness"][1] == 5.0


def test_without_diagnostics_there_are_none():
    runs = to_runs(named("first", "second"), [record(diagnostics=None)])
    assert [run.diagnostics for run in runs] == [{}, {}]


def test_variant_that_failed_in_any_record_has_no_run():
    whole = record("a", 0)
    broken = record("b", 1)
    broken = broken._replace(counts=(broken.counts[0], None), failures={"second": "did not converge (on b)"})
    first, second = to_runs(named("first", "second"), [whole, broken])
    assert (second.confusions, second.failure) == (None, "did not converge (on b)")
    assert (len(first.confusions), first.failure) == (2, None)


def test_run_without_images_is_told():
    with pytest.raises(DatasetError, match="no image was evaluated"):
        to_runs(named("first"), [])
