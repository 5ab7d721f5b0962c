"""The training of the demo model: its losses against the toolkit's own score fusion, and what a phase may change."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from segearth_ov3.demo.scenes import SCENE_CLASSES, generate_scene
from segearth_ov3.engine.score_maps import prompt_score_maps
from segearth_ov3.engine.scores import FusionSettings, query_scores
from segearth_ov3.sam3.outputs import Grounding, Masks

TOOLS = Path(__file__).parents[2] / "tools"
MODULES = ("demo_images", "demo_losses", "demo_recipe", "demo_data", "demo_steps", "demo_report", "train_demo")


@pytest.fixture(scope="module")
def tools() -> Iterator[dict[str, ModuleType]]:
    """The training's files, which find each other beside themselves as scripts do."""
    sys.path.insert(0, str(TOOLS))
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(TOOLS))
        for name in MODULES:
            sys.modules.pop(name, None)


def random_grounding(prompts: int = 3, queries: int = 4, side: int = 8) -> Grounding:
    rng = torch.Generator().manual_seed(0)
    shapes = ((prompts,), (prompts, queries), (prompts, queries, 4), (prompts, queries, side, side))
    fields = [torch.randn(shape, generator=rng) * 3 for shape in (*shapes, (prompts, side, side))]
    return Grounding(fields[0], fields[1], fields[2].sigmoid(), fields[3], fields[4])


def targets_of(tools: dict[str, ModuleType], semantic: torch.Tensor) -> object:
    nothing = torch.zeros(0, *semantic.shape[1:])
    index = torch.zeros(0, dtype=torch.int64)
    return tools["demo_losses"].Targets(semantic, torch.ones_like(semantic), nothing, index, torch.zeros(0, 4))


def test_instance_maps_are_those_of_the_engine(tools: dict[str, ModuleType]) -> None:
    found = random_grounding()
    presence = found.presence_logits.sigmoid()
    prompt_index, query_index = torch.ones_like(found.score_logits).nonzero(as_tuple=True)
    masks = Masks(found.mask_logits.flatten(0, 1), prompt_index, query_index, found.semantic_logits)
    settings = FusionSettings(confidence_threshold=0.0, use_semantic=False)
    maps = prompt_score_maps(masks, query_scores(found.score_logits, presence), presence, (8, 8), settings)
    expected = torch.stack(list(maps)) / presence[:, None, None]
    torch.testing.assert_close(tools["demo_losses"].instance_maps(found), expected)


def test_fused_loss_asks_an_instance_to_rise_where_the_semantic_map_is_wrong(tools: dict[str, ModuleType]) -> None:
    losses = tools["demo_losses"]
    truth = torch.zeros(2, 4, 4)
    truth[0] = 1  # the first class is everywhere
    found = random_grounding(2, side=4)._replace(
        presence_logits=torch.full((2,), 5.0), semantic_logits=torch.tensor([-1.0, 1.0])[:, None, None].expand(2, 4, 4)
    )
    maps = torch.full((2, 4, 4), 0.2, requires_grad=True)
    owner, is_class = torch.zeros(2, dtype=torch.int64), torch.ones(2, dtype=torch.bool)
    losses.fused_loss(maps, found, targets_of(tools, truth), owner, is_class, norm=4).backward()
    assert (maps.grad[0] < 0).all()
    assert (maps.grad[1] > 0).all()


def test_fused_loss_is_the_same_for_images_alone_and_together(tools: dict[str, ModuleType]) -> None:
    losses = tools["demo_losses"]
    found = random_grounding(4)
    maps = losses.instance_maps(found)
    truth = torch.nn.functional.one_hot(torch.arange(64).reshape(8, 8) % 2).permute(2, 0, 1).float().repeat(2, 1, 1)
    is_class = torch.ones(4, dtype=torch.bool)

    def loss(some: slice) -> torch.Tensor:
        part = Grounding(*(field[some] for field in found))
        owner = torch.tensor([0, 0, 1, 1])[some]
        return losses.fused_loss(maps[some], part, targets_of(tools, truth[some]), owner, is_class[some])

    torch.testing.assert_close(loss(slice(0, 4)), (loss(slice(0, 2)) + loss(slice(2, 4))) / 2)


def test_last_phase_changes_nothing_before_the_decoder(tools: dict[str, ModuleType], tmp_path: Path) -> None:
    train, images = tools["train_demo"], tools["demo_images"]
    recipe = train.Recipe(heads=dataclasses.replace(train.Recipe.heads, batch=1))
    training = train.Training(recipe, tmp_path, "demo")
    before = training.averaged_model().state_dict()
    scene = generate_scene((336, 336), seed=3, res_m=0.3)
    groups = images.scene_groups(SCENE_CLASSES, car_label=len(SCENE_CLASSES))
    source = images.LabelledImage(scene.image, scene.labels, groups)
    training.advance(tools["demo_data"].TrainingData([source], [], size=336, mask_size=96))
    changed = {key for key, value in training.model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed
    assert all(key.startswith(recipe.heads.parts) for key in changed)
    assert training.step == recipe.steps_before_heads + 1


def test_examples_for_all_classes_name_every_pixel_once(tools: dict[str, ModuleType]) -> None:
    images = tools["demo_images"]
    scene = generate_scene((336, 336), seed=3, res_m=0.3)
    groups = images.scene_groups(SCENE_CLASSES, car_label=len(SCENE_CLASSES))
    data = tools["demo_data"].TrainingData(
        [images.LabelledImage(scene.image, scene.labels, groups)], [], size=336, mask_size=96
    )
    example = data.example(np.random.default_rng(0), all_classes=True)
    assert len(example.is_class) == len(example.ids)
    assert int(example.is_class.sum()) == len(SCENE_CLASSES)
    torch.testing.assert_close(example.targets.semantic[example.is_class].sum(0), torch.ones(96, 96))
