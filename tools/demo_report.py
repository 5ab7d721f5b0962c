"""Figures of a demo model on images it has never seen, its checkpoint in half precision, and its model card."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demo_images import LabelledImage, load_dubai
from safetensors.torch import save_file
from scipy.stats import rankdata
from tqdm import tqdm

from segearth_ov3.checkpoints import load_sam3
from segearth_ov3.checkpoints.sizes import config_metadata
from segearth_ov3.datasets import SPECS
from segearth_ov3.demo.scenes import DEMO_RES_RANGE_M, SCENE_CLASSES, demo_resolution, generate_scene
from segearth_ov3.engine.predictor import VariantPredictor
from segearth_ov3.engine.scores import FusionSettings
from segearth_ov3.engine.variants import Variant
from segearth_ov3.metrics.bootstrap import paired_bootstrap
from segearth_ov3.metrics.confusion import compute_scores, confusion_matrix
from segearth_ov3.sam3.model import Sam3
from segearth_ov3.sam3.preprocess import preprocess
from segearth_ov3.segmenter import Segmenter
from segearth_ov3.vocabulary import Vocabulary

UNSEEN_SEED = 1_000_000
CONFIDENCE_THRESHOLD = SPECS["demo"].settings.confidence_threshold
UNSEEN_SCENES = 50
SCENE_SIDE = 504
SCENE_WINDOW = {"window": 336, "stride": 168}
DUBAI_CLASSES = "building,house; land,sand,unpaved ground; road; vegetation; water"
DUBAI_WINDOW = {"window": 504, "stride": 378}  # pixels; larger windows show the network too little of a house
SWITCHES: dict[str, dict[str, Any]] = {
    "fused": {},
    "semantic head alone": {"use_instance": False},
    "instance head alone": {"use_semantic": False},
    "without presence": {"presence": "off"},
}


def unseen_scenes(count: int = UNSEEN_SCENES) -> list[LabelledImage]:
    """Generated scenes whose seeds are not among those of the training."""
    seeds = range(UNSEEN_SEED, UNSEEN_SEED + count)
    scenes = (generate_scene((SCENE_SIDE, SCENE_SIDE), seed, res_m=demo_resolution(seed)) for seed in seeds)
    return [LabelledImage(scene.image, scene.labels, ()) for scene in scenes]


def measure(
    model: Sam3, images: Sequence[LabelledImage], classes: str, switches: dict[str, dict[str, Any]], **windows: int
) -> dict[str, dict[str, Any]]:
    """mIoU and IoU per class for each setting of the score fusion, in one pass; every pixel is labelled.

    Settings after the first also say what the first is ahead by, in points of per cent, with a 95 % interval.
    """
    vocabulary = Vocabulary.from_text(classes, background=None)
    settings = FusionSettings(confidence_threshold=CONFIDENCE_THRESHOLD)
    variants = [Variant(dataclasses.replace(settings, **off)) for off in switches.values()]
    predictor = VariantPredictor(model, vocabulary, variants, **windows)
    counts = np.zeros((len(variants), len(images), len(vocabulary), len(vocabulary)), dtype=np.int64)
    for index, image in enumerate(tqdm(images, leave=False, unit="image")):
        for variant, labels in enumerate(predictor.labels(image.image).numpy()):
            counts[variant, index] = confusion_matrix(image.labels, labels, len(vocabulary))
    results: dict[str, dict[str, Any]] = {}
    for name, confusions in zip(switches, counts):
        scores = compute_scores(confusions.sum(0))
        results[name] = {"mIoU": scores.miou, "IoU": dict(zip(vocabulary.class_names, scores.iou.tolist()))}
        if len(results) > 1:
            results[name]["first minus this"] = dataclasses.asdict(paired_bootstrap(confusions, counts[0]))
    return results


def presence_auc(model: Sam3, scenes: Sequence[LabelledImage]) -> float:
    """Area under the ROC curve of presence: does a class that is in the scene get more of it than one that is not?"""
    text = model.encode_text(SCENE_CLASSES)
    presence, truth = [], []
    side = model.config.image_size
    for scene in scenes:
        pixels, labels = scene.image[:side, :side], scene.labels[:side, :side]
        image = model.encode_image(preprocess(torch.from_numpy(pixels).permute(2, 0, 1), side))
        prompt = model.prompt(image, text)
        presence.append(model.detect(model.fuse(image, prompt), prompt).presence_logits.numpy())
        truth.append(np.bincount(labels.ravel(), minlength=len(SCENE_CLASSES)) > 0)
    there = np.concatenate(truth)
    ranks = rankdata(np.concatenate(presence))
    hits, misses = int(there.sum()), int((~there).sum())
    return float((ranks[there].sum() - hits * (hits + 1) / 2) / (hits * misses))


def share_of_unknown_word(model: Sam3, scenes: Sequence[LabelledImage], word: str = "runway") -> float:
    """Share of pixels with a score of at least 0.5 for a word that was never trained."""
    vocabulary = Vocabulary.from_text(word, background=None)
    segmenter = Segmenter(model, vocabulary, confidence_threshold=CONFIDENCE_THRESHOLD, **SCENE_WINDOW)
    return float(np.mean([(segmenter(scene.image).scores[0] >= 0.5).float().mean() for scene in scenes]))


def figures(model: Sam3, dubai: Path | None) -> dict[str, Any]:
    """Everything the model card reports."""
    scenes = unseen_scenes()
    classes = ";".join(SCENE_CLASSES)
    results: dict[str, Any] = {"scenes": measure(model, scenes, classes, SWITCHES, **SCENE_WINDOW)}
    results["presence AUC on scenes"] = presence_auc(model, scenes)
    results["share of pixels called runway"] = share_of_unknown_word(model, scenes)
    if dubai is not None:
        parts = {"Dubai, unseen parts 8-9 of tiles 1, 2, 5": {tile: range(8, 10) for tile in (1, 2, 5)}}
        parts["Dubai, unseen tile 7"] = {7: range(1, 10)}
        for name, tiles in parts.items():
            images = load_dubai(dubai, parts=tiles)
            results[name] = measure(model, images, DUBAI_CLASSES, {"fused": {}}, **DUBAI_WINDOW)["fused"]
    return results


def write_result(
    model: Sam3, folder: Path, recipe: Any, steps_done: int, dubai: Path | None, remark: str | None = None
) -> None:
    """Write `demo.safetensors`, `demo.json` and the model card `demo.md`; figures are those of the written file."""
    weights = {key: value.to(torch.float16).contiguous() for key, value in model.state_dict().items()}
    path = folder / "demo.safetensors"
    save_file(weights, path, metadata=config_metadata(model.config))
    results = figures(load_sam3(path), dubai)
    (folder / "demo.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    size_mb = path.stat().st_size / 1e6
    card = model_card(results, recipe, steps_done, sum(p.numel() for p in model.parameters()), size_mb, dubai)
    if remark:
        card += f"\n{remark}\n"
    (folder / "demo.md").write_text(card, encoding="utf-8")
    print(card)


def model_card(
    results: dict[str, Any], recipe: Any, steps_done: int, parameters: int, size_mb: float, dubai: Path | None
) -> str:
    """The model card as Markdown, made from the figures."""
    photographs = "; Dubai aerial imagery (Humans in the Loop, CC0 1.0), tiles 1, 2, 5, parts 1-7" if dubai else ""
    low, high = DEMO_RES_RANGE_M
    frozen = recipe.heads.steps + recipe.fusion.steps
    lines = [
        "# Demo checkpoint",
        "",
        "For trying out the toolkit and for its tests, **not for maps**. SAM 3's structure at a small size, trained",
        "from nothing by `tools/train_demo.py`; no weight of SAM 3 is in it.",
        "",
        f"- Parameters: {parameters / 1e6:.2f} M, {size_mb:.1f} MB in half precision",
        f"- Data: {recipe.scenes} generated scenes of {recipe.scene_side}² pixels at {low} to {high} m{photographs}",
        f"- Steps: {steps_done}, the first {recipe.classify.steps} without prompts, "
        f"the last {frozen} with everything before the decoder frozen; seed {recipe.seed}",
        f"- Recipe: `{json.dumps(dataclasses.asdict(recipe))}`",
        f"- Date: {date.today().isoformat()}. Licence: Apache-2.0, like the toolkit",
        "",
        "Figures on images that were not trained on, by the toolkit's own `Segmenter`, every pixel labelled,",
        f"confidence threshold {CONFIDENCE_THRESHOLD}, float32:",
        "",
        f"- generated scenes: {SCENE_SIDE}² pixels, windows of {SCENE_WINDOW['window']} with step "
        f"{SCENE_WINDOW['stride']}, words `{', '.join(SCENE_CLASSES)}`",
        f"- Dubai: windows of {DUBAI_WINDOW['window']} with step {DUBAI_WINDOW['stride']}, words `{DUBAI_CLASSES}`; "
        "`configs/segearth-ov3_dubai.py`",
        "  has the same windows and more words, so `tools/test.py` gives other figures",
        "",
        "| images | variant | mIoU | IoU per class |",
        "|---|---|---|---|",
    ]
    rows = [(f"{UNSEEN_SCENES} generated scenes", name, result) for name, result in results["scenes"].items()]
    rows += [(name, "fused", result) for name, result in results.items() if name.startswith("Dubai")]
    for images, name, result in rows:
        per_class = ", ".join(f"{label} {iou:.2f}" for label, iou in result["IoU"].items())
        lines.append(f"| {images} | {name} | {result['mIoU']:.4f} | {per_class} |")
    lines += [
        "",
        "Fused minus the others on the same scenes, 95 % interval of a paired, studentised bootstrap over scenes:",
        "",
    ]
    for name, result in results["scenes"].items():
        if gain := result.get("first minus this"):
            lines.append(f"- {name}: {gain['delta']:+.2f} points of mIoU, {gain['low']:+.2f} to {gain['high']:+.2f}")
    lines += [
        "",
        f"- Presence on generated scenes: area under the ROC curve {results['presence AUC on scenes']:.4f}",
        "- `runway`, a word that was never trained: "
        f"{results['share of pixels called runway']:.2%} of pixels score 0.5 or more",
    ]
    return "\n".join(lines) + "\n"
