"""The score fusion written down literally: one prompt, one query, one mask at a time, slow on purpose.

Works as the published method works on the outputs of the reference image processor: every prompt is grounded alone,
all queries get masks, those above the threshold are kept and each kept mask is resized by itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from segearth_ov3.engine.scores import FusionSettings
from segearth_ov3.sam3.preprocess import preprocess
from segearth_ov3.vocabulary import Vocabulary


def _sigmoid(value: torch.Tensor) -> np.ndarray:
    return torch.sigmoid(value.float()).numpy()


def _resize(logits: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """One map (h, w) to (H0, W0)."""
    return functional.interpolate(
        logits[None, None].float(), size=(height, width), mode="bilinear", align_corners=False
    )[0, 0]


def reference_prompt_scores(
    model: Any, image: np.ndarray, vocabulary: Vocabulary, settings: FusionSettings
) -> np.ndarray:
    """Scores of all prompts (P, H0, W0) for an image (H0, W0, 3)."""
    height, width, _ = image.shape
    pixels = preprocess(torch.from_numpy(image.copy()).permute(2, 0, 1).contiguous(), model.config.image_size)
    maps = []
    with torch.no_grad():
        features = model.encode_image(pixels)
        for synonyms in vocabulary.classes:
            for words in synonyms:
                out = model.ground(features, model.encode_text([words]))
                presence = np.float32(1) if settings.presence == "off" else _sigmoid(out.presence_logits[0])
                instance = np.zeros((height, width), np.float32)
                for query in range(out.score_logits.shape[1]):
                    score = _sigmoid(out.score_logits[0, query]) * presence
                    if settings.use_instance and score > np.float32(settings.confidence_threshold):
                        mask = _sigmoid(_resize(out.mask_logits[0, query], height, width))
                        instance = np.maximum(instance, score * mask)
                semantic = np.zeros((height, width), np.float32)
                if settings.use_semantic:
                    semantic = _sigmoid(_resize(out.semantic_logits[0], height, width))
                best = np.maximum(instance, semantic)
                maps.append(presence * best if settings.presence == "full" else best)
    return np.stack(maps)


def published_prompt_scores(
    model: Any, image: np.ndarray, vocabulary: Vocabulary, confidence_threshold: float, *, use_presence_score: bool
) -> np.ndarray:
    """Scores of all prompts (P, H0, W0) as the published segmentor computes them, with its own switch.

    The image processor knows no switch: its scores always contain the presence. The segmentor adds up the semantic
    map and the objects, and only then looks at the switch.
    """
    height, width, _ = image.shape
    pixels = preprocess(torch.from_numpy(image.copy()).permute(2, 0, 1).contiguous(), model.config.image_size)
    maps = []
    with torch.no_grad():
        features = model.encode_image(pixels)
        for words in vocabulary.prompts:
            out = model.ground(features, model.encode_text([words]))
            presence_score = torch.sigmoid(out.presence_logits[0])
            object_scores = torch.sigmoid(out.score_logits[0]) * presence_score  # the processor
            prompt_map = torch.zeros(height, width)  # the segmentor
            for query in range(len(object_scores)):
                if object_scores[query] > confidence_threshold:
                    mask = torch.sigmoid(_resize(out.mask_logits[0, query], height, width))
                    prompt_map = torch.max(prompt_map, mask * object_scores[query])
            prompt_map = torch.max(prompt_map, torch.sigmoid(_resize(out.semantic_logits[0], height, width)))
            if use_presence_score:
                prompt_map = prompt_map * presence_score
            maps.append(prompt_map.numpy())
    return np.stack(maps)


def reference_class_scores(prompt_scores: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """Scores of the classes (C, H0, W0) from those of the prompts (P, H0, W0)."""
    classes, prompt = [], 0
    for synonyms in vocabulary.classes:
        best = prompt_scores[prompt]
        for _ in synonyms:
            best = np.maximum(best, prompt_scores[prompt])
            prompt += 1
        classes.append(best)
    return np.stack(classes)


def reference_labels(class_scores: np.ndarray, prob_threshold: float, background: int | None) -> np.ndarray:
    """Labels (H0, W0)."""
    labels = class_scores.argmax(axis=0)
    if background is not None:
        labels[class_scores.max(axis=0) < np.float32(prob_threshold)] = background
    return labels


def reference_slide(
    model: Any, image: np.ndarray, vocabulary: Vocabulary, settings: FusionSettings, window: int, stride: int
) -> np.ndarray:
    """Scores of the classes (C, H0, W0): prompts averaged over windows, then the best synonym."""
    height, width, _ = image.shape
    sums = np.zeros((len(vocabulary.prompts), height, width), np.float32)
    counts = np.zeros((height, width), np.float32)
    rows, cols = -(-max(height - window, 0) // stride) + 1, -(-max(width - window, 0) // stride) + 1
    for row in range(rows):
        for col in range(cols):
            bottom, right = min(row * stride + window, height), min(col * stride + window, width)
            top, left = max(bottom - window, 0), max(right - window, 0)
            part = image[top:bottom, left:right]
            sums[:, top:bottom, left:right] += reference_prompt_scores(model, part, vocabulary, settings)
            counts[top:bottom, left:right] += 1
    return reference_class_scores(sums / counts, vocabulary)
