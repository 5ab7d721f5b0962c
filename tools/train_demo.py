"""Train the demo model, SAM 3's structure at a small size, from nothing, on two CPU cores.

    python tools/train_demo.py --work-dir work_dirs/demo                      # about 75 minutes on two idle cores
    python tools/train_demo.py --work-dir work_dirs/demo --dubai DIR          # with the Dubai images (CC0) as well
    python tools/train_demo.py --work-dir work_dirs/demo --evaluate-only      # figures and model card only

With glibc, put MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=99000000000 MALLOC_ARENA_MAX=1 in front: memory that is
kept instead of given back after every step made a step of the second phase 1.7 s instead of 3.0 s.

The network is `Sam3Config.demo()`: SAM 3's structure, small. It learns from generated scenes, whose labels are exact,
and, where they are given, from a few real images, in three phases:

1. Trunk and neck learn to tell all classes apart at once, by a classifier on the pyramid that is thrown away.
2. The whole network learns from prompts. Every image comes with a handful: words of classes that are in it, words of
   classes that are not, words that mean nothing, and boxes around one object of a kind. Semantic map, presence and
   object queries learn together (`demo_losses.py`).
3. The same with more of the rarest class, and with scores that learn to be probabilities.

Interrupted training goes on from the last state in the work folder. A step depends on the seed and its number only.
The result is `demo.safetensors` in half precision and the model card `demo.md` beside it.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import NamedTuple
from unittest import mock

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
class Phase:
    """One part of the training.

    Attributes:
        steps: Number of steps.
        batch: Crops per step.
        rate: Learning rate of vectors, embeddings and convolutions, by Adam.
        matrix_rate: Learning rate of matrices, by Muon.
        trunk_factor: Both rates are multiplied by it in trunk and neck.
        final: Share of the rates that is left at the end.
        rare_share: Share of scene crops that are taken around a swimming pool, the rarest class.
        gamma: Exponent of the focal loss of scores; 0 gives scores that are probabilities.
    """

    steps: int
    batch: int
    rate: float
    matrix_rate: float
    trunk_factor: float
    final: float
    rare_share: float = 0.0
    gamma: float = 2.0


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Numbers of the training; the defaults made the packaged model."""

    classify: Phase = Phase(steps=2600, batch=8, rate=2e-3, matrix_rate=6e-3, trunk_factor=1.0, final=0.1)
    prompt: Phase = Phase(steps=1300, batch=6, rate=1.5e-3, matrix_rate=3e-3, trunk_factor=0.4, final=0.01)
    polish: Phase = Phase(
        steps=550, batch=6, rate=1e-3, matrix_rate=2e-3, trunk_factor=0.4, final=0.01, rare_share=0.4, gamma=0.0
    )
    weight_decay: float = 0.05
    warmup: int = 60
    average_decay: float = 0.998
    scenes: int = 900
    scene_side: int = 768
    seed: int = 0

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return self.classify.steps + self.prompt.steps + self.polish.steps

    def phase(self, step: int) -> tuple[Phase, int]:
        """The phase of a step, and the steps already taken in it."""
        for phase in (self.classify, self.prompt):
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        return self.polish, step


class Losses(NamedTuple):
    """Losses of one step, for the progress bar."""

    semantic: Tensor
    presence: Tensor
    instance: Tensor
    probe: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return 3 * self.semantic + self.presence + 0.5 * self.instance + self.probe


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


def plain_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
) -> Tensor:
    """Attention as two products, (..., n, D) to (..., n, D): on CPUs its gradient is quicker than the fused one's."""
    assert dropout_p == 0 and not is_causal  # noqa: PT018 - the network uses neither
    products = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if attn_mask is not None:
        is_filter = attn_mask.dtype == torch.bool
        products = products.masked_fill(~attn_mask, -torch.inf) if is_filter else products + attn_mask
    return products.softmax(-1).to(value.dtype) @ value


def classify(model: Sam3, probe: Probe, pixels: Tensor, classes: Tensor) -> Losses:
    """Losses of the first phase: trunk and neck only."""
    nothing = torch.zeros(())
    return Losses(nothing, nothing, nothing, probe(model.encode_pyramid(model.encode_trunk(pixels)), classes))


def answer_prompts(model: Sam3, probe: Probe, examples: list[Example], gamma: float) -> Losses:
    """Losses of the later phases; all pairs of image and prompt go through the network together."""
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
        instance_loss(
            detection.score_logits, detection.boxes, masks.mask_logits.unflatten(0, keep.shape), targets, gamma=gamma
        ),
        probe(levels, torch.cat([example.classes for example in examples])),
    )


def rate_factor(phase: Phase, done: int, warmup: int) -> float:
    """Share of a phase's learning rates: linear warm-up, then half a cosine down to its final share."""
    if done < warmup:
        return (done + 1) / warmup
    progress = (done - warmup) / max(1, phase.steps - warmup)
    return phase.final + (1 - phase.final) * 0.5 * (1 + math.cos(math.pi * progress))


def make_optimizers(model: nn.ModuleList, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al., 2024) for matrices, Adam for the rest; embeddings keep the rows that no word has touched.

    Groups say whether they belong to the trunk and neck.
    """
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        is_table = "embed" in name and not name.endswith("proj.weight")
        is_matrix = parameter.ndim == 2 and not is_table and min(parameter.shape) > 4
        decays = parameter.ndim >= 2 and not is_table
        groups.setdefault((is_matrix, decays, "vision_backbone" in name), []).append(parameter)
    matrices, others = (
        [
            {"params": parameters, "weight_decay": weight_decay * decays, "is_trunk": is_trunk}
            for (is_matrix, decays, is_trunk), parameters in groups.items()
            if is_matrix == wanted
        ]
        for wanted in (True, False)
    )
    muon = torch.optim.Muon(matrices, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(others, betas=(0.9, 0.98))]


class Training:
    """Model, running average of its weights and optimiser, saved and resumed as one."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.path = folder / "state.pt"
        self.model = build_sam3(Sam3Config.demo()).train()
        self.average = {key: value.clone() for key, value in self.model.state_dict().items()}
        self.probe = Probe(self.model.config.dim)
        self.optimizers = make_optimizers(nn.ModuleList([self.model, self.probe]), recipe.weight_decay)
        self.step = 0
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.probe.load_state_dict(state["probe"])
            self.average = state["average"]
            for optimizer, saved in zip(self.optimizers, state["optimizers"]):
                optimizer.load_state_dict(saved)
            self.step = state["step"]

    def save(self) -> None:
        """Write the state beside its final name and rename it."""
        state = {
            "model": self.model.state_dict(),
            "probe": self.probe.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
        }
        temporary = self.path.with_suffix(".partial")
        torch.save(state, temporary)
        temporary.replace(self.path)

    def advance(self, data: TrainingData) -> Losses:
        """One step."""
        phase, done = self.recipe.phase(self.step)
        rng = np.random.default_rng([self.recipe.seed, self.step])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            if phase is self.recipe.classify:
                pairs = [data.crop(rng) for _ in range(phase.batch)]
                losses = classify(self.model, self.probe, *(torch.cat(field) for field in zip(*pairs)))
            else:
                examples = [data.example(rng, phase.rare_share) for _ in range(phase.batch)]
                losses = answer_prompts(self.model, self.probe, examples, phase.gamma)
        self._set_rates(phase, rate_factor(phase, done, self.recipe.warmup))
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        decay = min(self.recipe.average_decay, self.step / (self.step + 10))
        with torch.no_grad():
            for key, value in self.model.state_dict().items():
                self.average[key].lerp_(value, 1 - decay)
        return losses

    def _set_rates(self, phase: Phase, factor: float) -> None:
        for optimizer, rate in zip(self.optimizers, (phase.matrix_rate, phase.rate)):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor * (phase.trunk_factor if group["is_trunk"] else 1.0)

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
                losses = training.advance(data)
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
@click.option("--classify-steps", type=click.IntRange(0), default=Recipe.classify.steps, show_default=True)
@click.option("--prompt-steps", type=click.IntRange(0), default=Recipe.prompt.steps, show_default=True)
@click.option("--polish-steps", type=click.IntRange(0), default=Recipe.polish.steps, show_default=True)
@click.option("--scenes", type=click.IntRange(1), default=Recipe.scenes, show_default=True, help="Training scenes.")
@click.option("--remark", help="A sentence for the model card.")
@click.option("--evaluate-only", is_flag=True, help="No training: figures and model card of the saved state.")
def main(
    work_dir: Path,
    dubai: Path | None,
    classify_steps: int,
    prompt_steps: int,
    polish_steps: int,
    scenes: int,
    remark: str | None,
    evaluate_only: bool,
) -> None:
    """Train the demo model, measure it on unseen images, and write checkpoint and model card."""
    phases = {
        "classify": dataclasses.replace(Recipe.classify, steps=classify_steps),
        "prompt": dataclasses.replace(Recipe.prompt, steps=prompt_steps),
        "polish": dataclasses.replace(Recipe.polish, steps=polish_steps),
    }
    recipe = Recipe(**phases, scenes=scenes)
    work_dir.mkdir(parents=True, exist_ok=True)
    training = Training(recipe, work_dir)
    if not evaluate_only:
        config = training.model.config
        photographs = load_dubai(dubai, parts={1: range(1, 8), 2: range(1, 8), 5: range(1, 8)}) if dubai else []
        images = make_scenes(recipe.scenes, recipe.scene_side, first_seed=recipe.seed)
        data = TrainingData(images, photographs, size=config.image_size, mask_size=4 * config.grid)
        with mock.patch.object(F, "scaled_dot_product_attention", plain_attention):
            train(training, data)
    write_result(training.averaged_model(), work_dir, recipe, training.step, dubai, remark)


if __name__ == "__main__":
    main()
