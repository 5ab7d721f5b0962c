"""Numbers of the training of the demo model."""

from __future__ import annotations

import dataclasses


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
        rest: Weight of queries without an instance in the loss of scores; DETR takes 0.1.
        map_weight: Weight of the loss of instance maps.
        norm: Exponent of the mean by which the fused score joins both heads while it learns; infinite is the maximum.
        parts: Beginnings of the names of the parameters that learn.
        all_classes: Ask for all classes of an image at once, so that the fused scores can learn too.
        from_average: Begin with the averaged weights of the phases before, and average anew.
    """

    steps: int
    batch: int
    rate: float
    matrix_rate: float
    trunk_factor: float
    final: float
    rare_share: float = 0.0
    gamma: float = 2.0
    rest: float = 1.0
    map_weight: float = 1.0
    norm: float = 4.0
    parts: tuple[str, ...] = ("",)
    all_classes: bool = False
    from_average: bool = False


HEADS = Phase(
    steps=400,
    batch=4,
    rate=1.5e-3,
    matrix_rate=3e-3,
    trunk_factor=0.0,
    final=0.01,
    rare_share=0.1,
    gamma=0.0,
    rest=0.1,
    parts=("transformer.decoder", "dot_prod_scoring", "segmentation_head"),
    all_classes=True,
    from_average=True,
)
FUSION = dataclasses.replace(HEADS, steps=160, rate=7e-4, matrix_rate=1.4e-3, map_weight=0.2, norm=float("inf"))


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Numbers of the training; the defaults made the packaged model."""

    classify: Phase = Phase(steps=2600, batch=8, rate=2e-3, matrix_rate=6e-3, trunk_factor=1.0, final=0.1)
    prompt: Phase = Phase(steps=1300, batch=6, rate=1.5e-3, matrix_rate=3e-3, trunk_factor=0.4, final=0.01)
    polish: Phase = Phase(
        steps=550, batch=6, rate=1e-3, matrix_rate=2e-3, trunk_factor=0.4, final=0.01, rare_share=0.4, gamma=0.0
    )
    heads: Phase = HEADS
    fusion: Phase = FUSION
    weight_decay: float = 0.05
    warmup: int = 60
    average_decay: float = 0.998
    scenes: int = 900
    scene_side: int = 768
    seed: int = 0

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return self.steps_before_heads + self.heads.steps + self.fusion.steps

    @property
    def steps_before_heads(self) -> int:
        """Steps of the phases in which the whole network learns."""
        return self.classify.steps + self.prompt.steps + self.polish.steps

    def phase(self, step: int) -> tuple[Phase, int]:
        """The phase of a step, and the steps already taken in it."""
        for phase in (self.classify, self.prompt, self.polish, self.heads):
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        return self.fusion, step
