"""Train the demo model, SAM 3's structure at a small size, from nothing, on two CPU cores.

    python tools/train_demo.py --work-dir work_dirs/demo                      # about 70 minutes on two idle cores
    python tools/train_demo.py --work-dir work_dirs/demo --dubai DIR          # with the Dubai images (CC0) as well
    python tools/train_demo.py --work-dir work_dirs/demo --evaluate-only      # figures and model card only

The network is `Sam3Config.demo()`: SAM 3's structure, small. It learns from generated scenes, whose labels are exact,
and, where they are given, from a few real images. Every image comes with a handful of prompts: words of classes that
are in it, words of classes that are not, words that mean nothing, and boxes around one object of a kind. Semantic map,
presence and object queries learn together (`demo_losses.py`).

Interrupted training goes on from the last state in the work folder. A step depends on the seed and its number only.
The result is `demo.safetensors` in half precision and the model card `demo.md` beside it.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
import torch.nn.functional as F
from demo_data import IGNORE, PHOTOGRAPH_LABELS, SCENE_LABELS, Example, TrainingData, load_dubai, make_scenes
from demo_losses import instance_loss, join, presence_loss, semantic_loss
from demo_report import write_result
from torch import Tensor, nn
from tqdm import trange

from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.model import Sam3
from segearth_ov3.sam3.outputs import BoxPrompts, TextFeatures


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Numbers of the training; the defaults made the packaged model."""

    steps: int = 4000
    batch: int = 6
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 150
    average_decay: float = 0.998
    scenes: int = 300
    scene_side: int = 768
    seed: int = 0


class Losses(NamedTuple):
    """Losses of one step, for the progress bar."""

    semantic: Tensor
    presence: Tensor
    instance: Tensor
    probe: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return 3 * self.semantic + self.presence + 0.3 * self.instance + self.probe


class Probe(nn.Module):
    """Classifies the pyramid's pixels without prompts; teaches trunk and neck directly, and is thrown away."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fine, self.coarse = (nn.Conv2d(dim, SCENE_LABELS + PHOTOGRAPH_LABELS, 1) for _ in range(2))

    def forward(self, levels: tuple[Tensor, Tensor, Tensor], classes: Tensor) -> Tensor:
        """Cross-entropy of the finest and the coarsest level against classes (B, 4g, 4g)."""
        coarse = F.interpolate(self.coarse(levels[2].float()), scale_factor=4, mode="bilinear")
        logits = (self.fine(levels[0].float()), coarse)
        return sum(F.cross_entropy(each.float(), classes, ignore_index=IGNORE) for each in logits)


def encode_ids(model: Sam3, ids: Tensor, dtype: torch.dtype) -> TextFeatures:
    """Encode every distinct row of token ids once: (N, L) to the features of N prompts."""
    distinct, position = ids.unique(dim=0, return_inverse=True)
    features = model.backbone.language_backbone(distinct, dtype)
    return features.select(position)


def forward(model: Sam3, probe: Probe, examples: list[Example]) -> Losses:
    """Losses of a batch; all pairs of image and prompt go through the network together."""
    trunk = model.encode_trunk(torch.cat([example.pixels for example in examples]))
    levels = model.encode_pyramid(trunk)
    image_features = model.prepare(trunk, levels)
    text = encode_ids(model, torch.cat([example.ids for example in examples]), torch.float32)
    counts = [len(example.ids) for example in examples]
    owner = torch.arange(len(examples)).repeat_interleave(torch.tensor(counts))
    image = image_features.select(owner)
    boxes = BoxPrompts(*(torch.cat(field) for field in zip(*(example.boxes for example in examples))))
    prompt = model.prompt(image, text, boxes)
    memory = model.fuse(image, prompt)
    detection = model.detect(memory, prompt)
    keep = torch.ones_like(detection.score_logits, dtype=torch.bool)
    masks = model.segment(memory, detection, prompt, image, keep)
    targets = join([example.targets for example in examples])
    return Losses(
        semantic_loss(masks.semantic_logits, targets),
        presence_loss(detection.presence_logits, targets),
        instance_loss(detection.score_logits, detection.boxes, masks.mask_logits.unflatten(0, keep.shape), targets),
        probe(levels, torch.cat([example.classes for example in examples])),
    )


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Weight decay acts on matrices only; tables of embeddings keep the rows that no word has touched."""
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        is_table = "embed" in name and not name.endswith("proj.weight")
        (others if parameter.ndim < 2 or is_table else matrices).append(parameter)
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98))


class Training:
    """Model, running average of its weights and optimiser, saved and resumed as one."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.path = folder / "state.pt"
        self.model = build_sam3(Sam3Config.demo()).train()
        self.average = {key: value.clone() for key, value in self.model.state_dict().items()}
        self.probe = Probe(self.model.config.dim)
        self.optimizer = make_optimizer(nn.ModuleList([self.model, self.probe]), recipe)
        self.step = 0
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.probe.load_state_dict(state["probe"])
            self.average = state["average"]
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = state["step"]

    def save(self) -> None:
        """Write the state beside its final name and rename it."""
        state = {
            "model": self.model.state_dict(),
            "probe": self.probe.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        temporary = self.path.with_suffix(".partial")
        torch.save(state, temporary)
        temporary.replace(self.path)

    def advance(self, examples: list[Example]) -> Losses:
        """One step."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.recipe)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = forward(self.model, self.probe, examples)
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(self.recipe.average_decay, self.step / (self.step + 10))
        with torch.no_grad():
            for key, value in self.model.state_dict().items():
                self.average[key].lerp_(value, 1 - decay)
        return losses

    def averaged_model(self) -> Sam3:
        """The network with averaged weights, ready for inference."""
        model = build_sam3(Sam3Config.demo())
        model.load_state_dict(self.average)
        return model.eval().requires_grad_(False)


def train(training: Training, data: TrainingData, save_every: int = 100) -> None:
    """Run to the last step, saving on the way and on Ctrl-C."""
    recipe = training.recipe
    smooth: Losses | None = None
    try:
        with trange(training.step, recipe.steps, initial=training.step, total=recipe.steps, unit="step") as bar:
            for step in bar:
                rng = np.random.default_rng([recipe.seed, step])
                losses = training.advance([data.example(rng) for _ in range(recipe.batch)])
                losses = Losses(*(loss.detach() for loss in losses))
                smooth = (
                    losses if smooth is None else Losses(*(old.lerp(new, 0.02) for old, new in zip(smooth, losses)))
                )
                if step % 10 == 0:
                    bar.set_postfix({name: f"{value:.3f}" for name, value in smooth._asdict().items()})
                if training.step % save_every == 0:
                    training.save()
    finally:
        training.save()


@click.command()
@click.option("--work-dir", type=click.Path(path_type=Path), required=True, help="State, checkpoint and model card.")
@click.option(
    "--dubai", type=click.Path(exists=True, path_type=Path), help="Folder of the Dubai images, with 'Tile 1'."
)
@click.option("--steps", type=click.IntRange(1), default=Recipe.steps, show_default=True, help="Training steps.")
@click.option("--scenes", type=click.IntRange(1), default=Recipe.scenes, show_default=True, help="Training scenes.")
@click.option("--evaluate-only", is_flag=True, help="No training: figures and model card of the saved state.")
def main(work_dir: Path, dubai: Path | None, steps: int, scenes: int, evaluate_only: bool) -> None:
    """Train the demo model, measure it on unseen images, and write checkpoint and model card."""
    recipe = Recipe(steps=steps, scenes=scenes)
    work_dir.mkdir(parents=True, exist_ok=True)
    training = Training(recipe, work_dir)
    if not evaluate_only:
        config = training.model.config
        photographs = load_dubai(dubai, parts={1: range(1, 8), 2: range(1, 8), 5: range(1, 8)}) if dubai else []
        images = make_scenes(recipe.scenes, recipe.scene_side, first_seed=recipe.seed)
        train(training, TrainingData(images, photographs, size=config.image_size, mask_size=4 * config.grid))
    write_result(training.averaged_model(), work_dir, recipe, training.step, dubai)


if __name__ == "__main__":
    main()
