"""Train the demo model, SAM 3's structure at a small size, from nothing, on two CPU cores.

    python tools/train_demo.py --work-dir work_dirs/demo                      # about 90 minutes on two idle cores
    python tools/train_demo.py --work-dir work_dirs/demo --dubai DIR          # with the Dubai images (CC0) as well
    python tools/train_demo.py --work-dir work_dirs/demo --evaluate-only      # figures and model card only
    python tools/train_demo.py --work-dir work_dirs/demo --from-checkpoint FILE    # the last two phases only

With glibc, put MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=99000000000 MALLOC_ARENA_MAX=1 in front: memory that is
kept instead of given back after every step made a step of the second phase 1.7 s instead of 3.0 s.

The network is `Sam3Config.demo()`: SAM 3's structure, small. It learns from generated scenes, whose labels are exact,
and, where they are given, from a few real images, in five phases:

1. Trunk and neck learn to tell all classes apart at once, by a classifier on the pyramid that is thrown away.
2. The whole network learns from prompts. Every image comes with a handful: words of classes that are in it, words of
   classes that are not, words that mean nothing, and boxes around one object of a kind. Semantic map, presence and
   object queries learn together (`demo_losses.py`).
3. The same with more of the rarest class, and with scores that learn to be probabilities.
4. Decoder, scores and segmentation head alone, everything before them frozen, from prompts for all classes of an image
   at once. Instances learn to cover their class together, and the score that is fused from both heads learns to tell
   the classes apart: it asks of either head to be right where the other is wrong, which no other loss does.
5. The same with the maximum of both heads, as it is used, in place of a smooth one.

Interrupted training goes on from the last state in the work folder. A step depends on the seed and its number only.
The result is `demo.safetensors` in half precision and the model card `demo.md` beside it.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from unittest import mock

import click
import numpy as np
import torch
import torch.nn.functional as F
from demo_data import TrainingData
from demo_images import load_dubai, make_scenes
from demo_recipe import Phase, Recipe
from demo_report import write_result
from demo_steps import Losses, Probe, answer_prompts, classify, plain_attention
from torch import nn
from tqdm import trange

from segearth_ov3.checkpoints import load_sam3
from segearth_ov3.cli.process import Program
from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.model import Sam3


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

    def __init__(self, recipe: Recipe, folder: Path, checkpoint: str | None = None) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.path = folder / "state.pt"
        self.model = build_sam3(Sam3Config.demo()).train()
        self.average = {key: value.clone() for key, value in self.model.state_dict().items()}
        self.probe = Probe(self.model.config.dim)
        self.optimizers = self._new_optimizers()
        self.step = 0
        if checkpoint is not None and not self.path.exists():
            self.average = {key: value.float() for key, value in load_sam3(checkpoint).state_dict().items()}
            self.step = recipe.steps_before_heads
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
        if phase.from_average and done == 0:
            self.model.load_state_dict(self.average)
            self.optimizers = self._new_optimizers()
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name.startswith(phase.parts))
        rng = np.random.default_rng([self.recipe.seed, self.step])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            if phase is self.recipe.classify:
                pairs = [data.crop(rng) for _ in range(phase.batch)]
                losses = classify(self.model, self.probe, *(torch.cat(field) for field in zip(*pairs)))
            else:
                draws = [(phase.rare_share, phase.all_classes)] * phase.batch
                examples = [data.example(rng, share, all_classes=every) for share, every in draws]
                losses = answer_prompts(self.model, self.probe, examples, phase)
        self._set_rates(phase, rate_factor(phase, done, self.recipe.warmup))
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        averaged = done + 1 if phase.from_average else self.step
        decay = min(self.recipe.average_decay, averaged / (averaged + 10))
        with torch.no_grad():
            for key, value in self.model.state_dict().items():
                self.average[key].lerp_(value, 1 - decay)
        return losses

    def _new_optimizers(self) -> list[torch.optim.Optimizer]:
        return make_optimizers(nn.ModuleList([self.model, self.probe]), self.recipe.weight_decay)

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


@click.command(cls=Program)
@click.option("--work-dir", type=click.Path(path_type=Path), required=True, help="State, checkpoint and model card.")
@click.option(
    "--dubai", type=click.Path(exists=True, path_type=Path), help="Folder of the Dubai images, with 'Tile 1'."
)
@click.option("--classify-steps", type=click.IntRange(0), default=Recipe.classify.steps, show_default=True)
@click.option("--prompt-steps", type=click.IntRange(0), default=Recipe.prompt.steps, show_default=True)
@click.option("--polish-steps", type=click.IntRange(0), default=Recipe.polish.steps, show_default=True)
@click.option("--head-steps", type=click.IntRange(0), default=Recipe.heads.steps, show_default=True)
@click.option("--fusion-steps", type=click.IntRange(0), default=Recipe.fusion.steps, show_default=True)
@click.option(
    "--from-checkpoint", metavar="FILE", help="Begin with the fourth phase, from this; no matter once it has begun."
)
@click.option("--scenes", type=click.IntRange(1), default=Recipe.scenes, show_default=True, help="Training scenes.")
@click.option("--remark", help="A sentence for the model card.")
@click.option("--evaluate-only", is_flag=True, help="No training: figures and model card of the saved state.")
def main(
    work_dir: Path,
    dubai: Path | None,
    classify_steps: int,
    prompt_steps: int,
    polish_steps: int,
    head_steps: int,
    fusion_steps: int,
    from_checkpoint: str | None,
    scenes: int,
    remark: str | None,
    evaluate_only: bool,
) -> None:
    """Train the demo model, measure it on unseen images, and write checkpoint and model card."""
    phases = {
        "classify": dataclasses.replace(Recipe.classify, steps=classify_steps),
        "prompt": dataclasses.replace(Recipe.prompt, steps=prompt_steps),
        "polish": dataclasses.replace(Recipe.polish, steps=polish_steps),
        "heads": dataclasses.replace(Recipe.heads, steps=head_steps),
        "fusion": dataclasses.replace(Recipe.fusion, steps=fusion_steps),
    }
    recipe = Recipe(**phases, scenes=scenes)
    work_dir.mkdir(parents=True, exist_ok=True)
    training = Training(recipe, work_dir, from_checkpoint)
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
