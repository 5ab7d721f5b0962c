"""One task, several systems: ours and the peers take turns at it and are compared with each other."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from device_activity import device_activity
from harness import keep_float32_precision, peak, spread, start_peak, timed
from peers import (
    BATCH,
    ReferencePeer,
    Results,
    Task,
    TransformersPeer,
    background_vocabulary,
    label_image,
    labels_of,
    reference_is_missing,
)
from torch import Tensor

from segearth_ov3.sam3.model import Sam3
from segearth_ov3.sam3.preprocess import preprocess
from segearth_ov3.segmenter import Segmenter

OURS = "segearth_ov3"
MARGIN = 0.01  # between the two best classes of a pixel whose label is compared


class OurSystem:
    """Ours, through the object that users call."""

    def __init__(self, model: Sam3, task: Task) -> None:
        self.model = model
        self.task = task
        self.segmenter = Segmenter(model, background_vocabulary(task.prompts), prob_threshold=task.bound)

    def __call__(self, image: np.ndarray) -> Tensor:
        """Labels of one image; as the command line does it, without scores that nobody asked for."""
        return label_image(self.segmenter, image)

    @torch.no_grad()
    def results(self, image: np.ndarray) -> Results:
        """Everything that is compared."""
        pixels = preprocess(torch.from_numpy(image).permute(2, 0, 1).contiguous().to(self.model.device), len(image))
        features = self.model.encode_image(pixels)
        presence, scores = [], []
        for start in range(0, len(self.task.prompts), 4):
            prompt = self.model.prompt(features, self.model.encode_text(self.task.prompts[start : start + 4]))
            found = self.model.detect(self.model.fuse(features, prompt), prompt)
            presence.append(found.presence_logits.float().sigmoid())
            scores.append(found.score_logits.float().sigmoid() * presence[-1][:, None])
        maps = self.segmenter.class_scores([image])[0]
        return Results(torch.cat(presence), torch.cat(scores), maps, labels_of(maps, self.task.bound))


class Labels(NamedTuple):
    """Labels of an image (H0, W0), and where the two best classes are clearly apart (H0, W0), bool.

    Arrays, because the process that sends them ends before they are read, and its tensors with it.
    """

    labels: np.ndarray
    clear: np.ndarray


def agreement(ours: Results, theirs: Results) -> dict[str, float]:
    """How far two results are apart; labels in shares of all pixels, and of those with a margin."""
    clear = margin_of(ours.class_scores) > MARGIN
    same = ours.labels == theirs.labels
    return {
        "presence": (ours.presence - theirs.presence).abs().max().item(),
        "query_scores": (ours.query_scores - theirs.query_scores).abs().max().item(),
        "class_scores": (ours.class_scores - theirs.class_scores).abs().max().item(),
        "labels": same.float().mean().item(),
        "labels_with_margin": same[clear].float().mean().item() if clear.any() else 1.0,
        "pixels_with_margin": clear.float().mean().item(),
    }


def margin_of(maps: Tensor) -> Tensor:
    """Difference of the two best class scores (H0, W0)."""
    if len(maps) == 1:
        return torch.ones_like(maps[0])
    best = maps.topk(2, dim=0).values
    return best[0] - best[1]


def shift_presence(model: Sam3, peer: Any, presence: Tensor, share: float) -> Callable[[], None]:
    """Put a share of the prompts below the threshold in both networks; returns what takes it back."""
    logits = presence.float().clamp(1e-6, 1 - 1e-6).logit()
    bias = -torch.quantile(logits, share).item()  # sigmoid(0) is the threshold
    layers = [model.transformer.decoder.presence_token_head.layers[-1].bias]
    if peer is not None:
        layers.append(peer.detr_decoder.presence_head.layer3.bias)
    distinct = list({layer.data_ptr(): layer for layer in layers}.values())  # float32 weights are shared
    before = [layer.clone() for layer in distinct]
    for layer in distinct:
        layer.add_(bias)
    return lambda: [layer.copy_(old) for layer, old in zip(distinct, before)] and None


def failure(error: Exception) -> str:
    """Say on one line how a system failed."""
    return f"failed: {' '.join((str(error) or type(error).__name__).splitlines()[:1])}"


class Clock:
    """Decides whether there is time for more, by what earlier runs of a system took."""

    def __init__(self, limit_s: float) -> None:
        self.end = time.monotonic() + limit_s
        self.known: dict[str, dict[int, float]] = {}

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self.end - time.monotonic()

    def repeats(self, wanted: int, round_s: float) -> int:
        """Repetitions that fit, of those wanted, each taking so long."""
        return max(0, min(wanted, int(self.left_s / max(round_s, 1e-9))))

    def estimate(self, system: str, prompts: int) -> float:
        """Seconds of a run, from those of other vocabularies; 0 where nothing is known."""
        known = sorted(self.known.get(system, {}).items())
        if len(known) < 2:
            return known[0][1] if known else 0.0
        (fewer, short), (more, long) = known[0], known[-1]
        return long + (prompts - more) * max(0.0, long - short) / (more - fewer)


@dataclasses.dataclass
class Group:
    """The systems that are compared with each other at one task."""

    model: Sam3
    peer: Any
    missing: str | None
    clock: Clock
    task: Task
    repeats: int
    warmup: int

    @property
    def device(self) -> str:
        """Where everything runs."""
        return str(self.model.device)

    def measure(self, image: np.ndarray, share: float, exact: Labels | None) -> tuple[list[dict[str, Any]], Labels]:
        """Rows of all systems, and our labels.

        Args:
            image: (R, R, 3).
            share: Share of the prompts to be made absent.
            exact: Our labels in float32, if known.
        """
        with torch.no_grad():
            ours = OurSystem(self.model, self.task)
            results = ours.results(image)
            undo = shift_presence(self.model, self.peer, results.presence, share) if share else lambda: None
            if share:
                results = ours.results(image)
            rows = {name: self.first_run(name, make, image) for name, make in self.systems(ours)}
            self.alternate({name: row for name, row in rows.items() if "run" in row}, image)
            for name, row in rows.items():
                self.finish(name, row, results, image, exact)
            undo()
        clear = margin_of(results.class_scores) > MARGIN
        return list(rows.values()), Labels(results.labels.cpu().numpy().astype(np.int16), clear.cpu().numpy())

    def systems(self, ours: OurSystem) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Name of each system and how to make it."""
        yield OURS, lambda: ours
        yield "transformers, one by one", lambda: TransformersPeer(self.peer, self.task, 1)
        if len(self.task.prompts) > 1:
            yield "transformers, batched", lambda: TransformersPeer(self.peer, self.task, BATCH)
        yield "sam3 (PyPI)", lambda: ReferencePeer(self.model, self.model.dtype, self.task)

    def reason(self, name: str) -> str | None:
        """Why a system takes no part."""
        if name.startswith("transformers"):
            return self.missing
        return reference_is_missing(self.device) if name.startswith("sam3") else None

    def first_run(self, name: str, make: Callable[[], Any], image: np.ndarray) -> dict[str, Any]:
        """Build a system and run it once or more, which also tells its peak of memory and whether there is time."""
        device, count = self.device, len(self.task.prompts)
        expected_s = self.clock.estimate(name, count)
        reason = self.reason(name)
        if reason is None and self.clock.repeats(1, expected_s) == 0:
            reason = f"a run takes about {expected_s:.0f} s, beyond the time limit"
        if reason is not None:
            return {"system": name, "skipped": reason}
        try:
            with keep_float32_precision():
                run = make()
                before = start_peak(device)
                warm = [timed(lambda: run(image), device) for _ in range(max(1, self.warmup))]
        except Exception as error:  # a peer's failure, of any kind, is its row and ends no other
            return {"system": name, "skipped": failure(error)}
        self.clock.known.setdefault(name, {})[count] = warm[-1]
        return {"system": name, "run": run, "seconds": [], "warm_s": warm[-1], "peak_bytes": peak(device) - before}

    def alternate(self, rows: dict[str, dict[str, Any]], image: np.ndarray) -> None:
        """Repeat all systems in turns as often as there is time."""
        wanted = self.repeats
        for _ in range(self.clock.repeats(wanted, sum(row["warm_s"] for row in rows.values()))):
            for row in rows.values():
                if "run" not in row:
                    continue
                try:
                    with keep_float32_precision():
                        row["seconds"].append(timed(lambda run=row["run"]: run(image), self.device))
                except Exception as error:
                    row.pop("run")
                    row["skipped"] = failure(error)

    def finish(self, name: str, row: dict[str, Any], results: Results, image: np.ndarray, exact: Labels | None) -> None:
        """Turn what was measured into the fields of a row."""
        run, seconds, warm = (row.pop(key, None) for key in ("run", "seconds", "warm_s"))
        if run is None:
            return
        row.update(spread(seconds or [warm]), repeats=len(seconds))
        activity = device_activity(lambda: run(image), self.device)
        if activity is not None:
            row.update(activity._asdict())
        if isinstance(run, TransformersPeer):
            row["agreement"] = agreement(results, run(image, with_geometry=True))
        elif isinstance(run, ReferencePeer):
            row["agreement"] = agreement(results, run(image))
        elif name == OURS and exact is not None and self.model.dtype != torch.float32:
            same = results.labels.cpu().numpy() == exact.labels
            row["labels_as_float32_with_margin"] = float(same[exact.clear].mean()) if exact.clear.any() else 1.0
