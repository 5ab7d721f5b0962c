"""Examples for training the demo model: crops of images with prompts and what is true for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from demo_images import IGNORE, LabelledImage, WordGroup
from demo_losses import Targets
from scipy import ndimage
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from segearth_ov3.demo.scenes import SCENE_CLASSES
from segearth_ov3.sam3.outputs import BoxPrompts
from segearth_ov3.sam3.preprocess import preprocess
from segearth_ov3.sam3.tokenizer import tokenize

SCENE_LABELS = 9  # eight classes, and cars
PHOTOGRAPH_LABELS = 5
MAX_INSTANCES = 16  # per prompt, the largest ones
SCENE_SCALES = (0.8, 1.25)  # of crops to the network's input
PHOTOGRAPH_SCALES = (0.7, 2.2)  # coarser ground resolution
RARE_LABEL = SCENE_CLASSES.index("swimming pool")
MIN_PIXELS = 3  # of an instance, at mask resolution


class Example(NamedTuple):
    """One training image with P prompts.

    Attributes:
        pixels: Network input (1, 3, R, R).
        ids: Token ids of the prompts (P, L).
        boxes: Box exemplars of the prompts, at most one each.
        targets: What is true, at mask resolution.
        classes: Class of every mask pixel (1, h, w), int64: labels of scenes, then those of photographs; 255 = unknown.
        is_class: Prompts that together name every pixel (P,), bool; none where only some were drawn.
    """

    pixels: Tensor
    ids: Tensor
    boxes: BoxPrompts
    targets: Targets
    classes: Tensor
    is_class: Tensor


class TrainingData:
    """Draws examples from labelled images.

    Args:
        scenes: Generated scenes.
        photographs: Real images; may be empty.
        size: Side of the network input R.
        mask_size: Side of the masks.
        photograph_share: Share of examples drawn from the photographs.
    """

    def __init__(
        self,
        scenes: Sequence[LabelledImage],
        photographs: Sequence[LabelledImage],
        *,
        size: int,
        mask_size: int,
        photograph_share: float = 0.2,
    ) -> None:
        self.scenes = scenes
        self.photographs = photographs
        self.size = size
        self.mask_size = mask_size
        self.photograph_share = photograph_share if photographs else 0.0
        self.with_rare = [scene for scene in scenes if (scene.labels == RARE_LABEL).any()]

    def crop(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draw a crop without prompts; equal generators give equal crops.

        Returns:
            Network input (1, 3, R, R), and classes as in `Example`.
        """
        _, labels, pixels, offset = self._draw(rng)
        return pixels, self._classes(labels, offset)

    def example(self, rng: np.random.Generator, rare_share: float = 0.0, *, all_classes: bool = False) -> Example:
        """Draw one example; equal generators give equal examples.

        Args:
            rng: Decides everything.
            rare_share: Share of examples around the rarest class.
            all_classes: Ask for every class of the image, and one thing more, instead of a few things.
        """
        is_rare = bool(self.with_rare) and rng.random() < rare_share
        source, labels, pixels, offset = self._draw(rng, is_rare)
        if all_classes:
            groups = _all_classes(source.groups, rng)
        else:
            groups = _draw_groups(source.groups, labels, rng, rarest_first=is_rare)
        words = [str(rng.choice(group.words)) for group in groups]
        ids = torch.cat((tokenize(words), _meaningless_ids(rng)))
        semantic, valid = self._maps(groups, labels)
        targets = _with_instances(semantic, valid)
        ids, boxes, targets = _add_box_prompt(ids, targets, groups, rng)
        is_class = torch.tensor([all_classes and group.is_class for group in groups])
        is_class = F.pad(is_class, (0, len(ids) - len(groups)))
        return Example(pixels, ids, boxes, targets, self._classes(labels, offset), is_class)

    def _draw(self, rng: np.random.Generator, is_rare: bool = False) -> tuple[LabelledImage, np.ndarray, Tensor, int]:
        """Image, labels of a crop, its network input, and what is added to its labels to make classes."""
        is_photograph = not is_rare and rng.random() < self.photograph_share
        pool = self.photographs if is_photograph else self.with_rare if is_rare else self.scenes
        source = pool[rng.integers(len(pool))]
        image, labels = self._cut(source, PHOTOGRAPH_SCALES if is_photograph else SCENE_SCALES, rng, is_rare)
        pixels = _jitter(preprocess(torch.tensor(image).permute(2, 0, 1), self.size), rng)
        return source, labels, pixels, SCENE_LABELS if is_photograph else 0

    def _cut(
        self, source: LabelledImage, scales: tuple[float, float], rng: np.random.Generator, is_rare: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """A square part of an image, turned and mirrored."""
        height, width = source.labels.shape
        side = min(int(self.size * np.exp(rng.uniform(*np.log(scales)))), height, width)
        row, col = rng.integers(height - side + 1), rng.integers(width - side + 1)
        if is_rare:  # somewhere around one of its pixels
            rows, cols = np.nonzero(source.labels == RARE_LABEL)
            chosen = rng.integers(len(rows))
            row = int(np.clip(rows[chosen] - rng.integers(side), 0, height - side))
            col = int(np.clip(cols[chosen] - rng.integers(side), 0, width - side))
        image = source.image[row : row + side, col : col + side]
        labels = source.labels[row : row + side, col : col + side]
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        image, labels = np.rot90(image, turns), np.rot90(labels, turns)
        if mirrored:
            image, labels = image[:, ::-1], labels[:, ::-1]
        return np.ascontiguousarray(image), np.ascontiguousarray(labels)

    def _classes(self, labels: np.ndarray, offset: int) -> Tensor:
        """Labels at the middle of every mask pixel (1, h, w), int64."""
        places = ((np.arange(self.mask_size) + 0.5) * labels.shape[0] / self.mask_size).astype(int)
        picked = torch.from_numpy(labels[np.ix_(places, places)].astype(np.int64))
        return torch.where(picked == IGNORE, IGNORE, picked + offset)[None]

    def _maps(self, groups: Sequence[WordGroup], labels: np.ndarray) -> tuple[Tensor, Tensor]:
        """Share of each mask pixel that a prompt covers, and whether it is known; the last prompt means nothing."""
        lookup = np.zeros((len(groups) + 1, 2, 256), dtype=np.float32)
        lookup[:, 1] = 1
        lookup[:, 1, IGNORE] = 0
        for index, group in enumerate(groups):
            lookup[index, 0, list(group.labels)] = 1
            lookup[index, 1, list(group.unsure)] = 0
        full = torch.from_numpy(lookup[:, :, labels])  # (P, 2, side, side)
        maps = F.adaptive_avg_pool2d(full, self.mask_size)
        return maps[:, 0], (maps[:, 1] > 0.99).float()


def _jitter(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Other brightness, contrast and colour cast; stays within [-1, 1]."""
    gain = torch.tensor(rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, (1, 3, 1, 1)), dtype=torch.float32)
    shift = torch.tensor(rng.uniform(-0.1, 0.1) + rng.uniform(-0.04, 0.04, (1, 3, 1, 1)), dtype=torch.float32)
    pixels = (pixels * gain + shift).clamp(-1, 1)
    return tvf.gaussian_blur(pixels, [3, 3], [rng.uniform(0.3, 0.9)]) if rng.random() < 0.2 else pixels


def _draw_groups(
    groups: Sequence[WordGroup],
    labels: np.ndarray,
    rng: np.random.Generator,
    most: int = 4,
    *,
    rarest_first: bool = False,
) -> list[WordGroup]:
    """Up to `most` groups, about a third of them absent from the crop."""
    counts = np.bincount(labels.ravel(), minlength=256)
    there = [group for group in groups if counts[list(group.labels)].sum() > 0]
    absent = [group for group in groups if counts[list(group.labels)].sum() == 0]
    order = rng.permutation(len(there))
    if rarest_first:
        order = np.argsort([counts[list(group.labels)].sum() for group in there], kind="stable")
    keep = [there[i] for i in order[: most - min(2, len(absent))]]
    keep += [absent[i] for i in rng.permutation(len(absent))[: most - len(keep)][:2]]
    return keep


def _all_classes(groups: Sequence[WordGroup], rng: np.random.Generator) -> list[WordGroup]:
    """All groups that are classes, and one that is not, if there is any."""
    others = [group for group in groups if not group.is_class]
    more = [others[rng.integers(len(others))]] if others else []
    return [group for group in groups if group.is_class] + more


def _meaningless_ids(rng: np.random.Generator) -> Tensor:
    """Token ids of one prompt of one or two random vocabulary entries (1, L): a word that is never in the image."""
    (ids,) = tokenize(["a"])
    count = int(rng.integers(1, 3))
    words = torch.from_numpy(rng.integers(512, 49000, count))
    end = ids[2].clone()
    ids[1 : 1 + count] = words
    ids[1 + count] = end
    return ids[None]


def _with_instances(semantic: Tensor, valid: Tensor) -> Targets:
    """Targets with the connected parts of every prompt's map as its instances."""
    masks, owners, boxes = [], [], []
    side = semantic.shape[-1]
    for prompt, plane in enumerate((semantic * valid > 0.5).numpy()):
        numbered, count = ndimage.label(plane)
        if count == 0:
            continue
        sizes = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
        slices = ndimage.find_objects(numbered)
        for number in np.argsort(-sizes, kind="stable")[:MAX_INSTANCES]:
            if sizes[number] < MIN_PIXELS:
                break
            masks.append(numbered == number + 1)
            owners.append(prompt)
            rows, cols = slices[number]
            boxes.append(
                (rows.start + rows.stop, cols.start + cols.stop, rows.stop - rows.start, cols.stop - cols.start)
            )
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4) / side
    cy, cx, height, width = corners.unbind(-1)
    return Targets(
        semantic,
        valid,
        torch.from_numpy(np.array(masks, dtype=np.float32).reshape(-1, side, side)),
        torch.tensor(owners, dtype=torch.int64),
        torch.stack((cx / 2, cy / 2, width, height), dim=-1),
    )


def _add_box_prompt(
    ids: Tensor, targets: Targets, groups: Sequence[WordGroup], rng: np.random.Generator, share: float = 0.35
) -> tuple[Tensor, BoxPrompts, Targets]:
    """Sometimes ask for a countable thing once more, by a box around one of it and the word "visual"."""
    count = len(ids)
    boxes = BoxPrompts(
        torch.full((count, 1, 4), 0.5), torch.ones(count, 1, dtype=torch.bool), torch.ones(count, 1, dtype=torch.bool)
    )
    owners = targets.prompt_index.tolist()
    shown = [k for k, owner in enumerate(owners) if owner < len(groups) and groups[owner].countable]
    if not shown or rng.random() > share:
        return ids, boxes, targets
    exemplar = shown[rng.integers(len(shown))]
    owner = owners[exemplar]
    mine = targets.prompt_index == owner
    boxes = BoxPrompts(
        torch.cat((boxes.boxes, targets.boxes[None, None, exemplar])),
        torch.cat((boxes.positive, torch.tensor([[True]]))),
        torch.cat((boxes.padding, torch.tensor([[False]]))),
    )
    targets = Targets(
        torch.cat((targets.semantic, targets.semantic[owner][None])),
        torch.cat((targets.valid, targets.valid[owner][None])),
        torch.cat((targets.masks, targets.masks[mine])),
        torch.cat((targets.prompt_index, torch.full((int(mine.sum()),), count))),
        torch.cat((targets.boxes, targets.boxes[mine])),
    )
    return torch.cat((ids, tokenize(["visual"]))), boxes, targets
