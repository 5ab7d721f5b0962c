"""The peers of the throughput benchmark, with the same weights as ours and the same task: an image to class labels.

Both get their text encoded beforehand and the image's features once per image. `transformers` leaves the geometry
token out where no box is given (its own way, and the faster one); for the comparison of results it is made to read
it, by one box labelled as padding.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segearth_ov3.checkpoints.huggingface_keys import huggingface_source
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.model import Sam3
from segearth_ov3.sam3.preprocess import preprocess
from segearth_ov3.sam3.tokenizer import tokenize
from segearth_ov3.segmenter import Segmenter

BATCH = 16  # prompts that transformers gets at a time; its masks of 16 prompts take 1 GiB in float32
# parts of its network that no result depends on
UNUSED = (
    "vision_encoder.neck.fpn_layers.3.",
    "text_encoder.text_projection.",
    "pixel_decoder.conv_layers.2.",
    "pixel_decoder.norms.2.",
)


class Results(NamedTuple):
    """What is compared between two implementations.

    Attributes:
        presence: Probability of each prompt (P,).
        query_scores: Score times presence (P, Q).
        class_scores: (P, H0, W0); every prompt is a class.
        labels: (H0, W0); class 0 where no score reaches the bound.
    """

    presence: Tensor
    query_scores: Tensor
    class_scores: Tensor
    labels: Tensor


class Task(NamedTuple):
    """What is asked for: prompts, and the presence below which a prompt cannot label a pixel."""

    prompts: tuple[str, ...]
    bound: float


class TransformersPeer:
    """`transformers.Sam3Model`, with its own attention, prompts one by one or in batches.

    Args:
        ours: The network whose weights it gets; in float32 both share them in memory.
        dtype: Of all its weights, as `from_pretrained(dtype=...)` makes them.
        task: What is asked for.
        batch: Prompts at a time.
    """

    def __init__(self, model: Any, task: Task, batch: int) -> None:
        self.model = model
        self.task = task
        self.batch = batch
        ids = tokenize(task.prompts).to(model.device)
        self.attention_mask = (ids != 0).long()
        with torch.no_grad():
            self.text = [
                model.get_text_features(input_ids=ids[some], attention_mask=self.attention_mask[some], return_dict=True)
                for some in self._parts()
            ]

    def _parts(self) -> list[slice]:
        count = len(self.task.prompts)
        return [slice(start, min(start + self.batch, count)) for start in range(0, count, self.batch)]

    @torch.no_grad()
    def __call__(self, image: np.ndarray, with_geometry: bool = False) -> Results:
        """Label one image (H0, W0, 3)."""
        device, dtype = self.model.device, self.model.dtype
        pixels = preprocess(torch.from_numpy(image).permute(2, 0, 1).contiguous().to(device), self._side())
        vision = self.model.get_vision_features(pixels.to(dtype))
        found = []
        for some, text in zip(self._parts(), self.text):
            out = self.model(
                vision_embeds=_repeated(vision, some.stop - some.start),
                text_embeds=text,
                attention_mask=self.attention_mask[some],
                **(_padding_box(some.stop - some.start, device, dtype) if with_geometry else {}),
            )
            presence = out.presence_logits.float().sigmoid().flatten()  # (P,)
            scores = out.pred_logits.float().sigmoid() * presence[:, None]  # (P, Q)
            maps = published_scores(presence, scores, out.pred_masks, out.semantic_seg, image.shape[:2])
            found.append((presence, scores, maps))
        presence, scores, maps = (torch.cat(parts) for parts in zip(*found))
        return Results(presence, scores, maps, labels_of(maps, self.task.bound))

    def _side(self) -> int:
        return self.model.config.vision_config.backbone_config.image_size


def published_scores(presence: Tensor, scores: Tensor, masks: Tensor, semantic: Tensor, size: Any) -> Tensor:
    """Score maps of prompts (P, H0, W0) by the published formula, prompt by prompt and in full."""
    maps = []
    for index, keep in enumerate(scores > 0.5):
        best = _enlarged(semantic[index], size)[0]  # (H0, W0)
        for amplitude, mask in zip(scores[index, keep], masks[index, keep]):
            best = torch.maximum(best, amplitude * _enlarged(mask[None], size)[0])
        maps.append(best * presence[index])
    return torch.stack(maps)


def labels_of(maps: Tensor, bound: float) -> Tensor:
    """Best class of each pixel, class 0 where no score reaches the bound: (C, H0, W0) to (H0, W0)."""
    best, labels = maps.max(0)
    return labels.masked_fill(best < bound, 0)


def _enlarged(logits: Tensor, size: Any) -> Tensor:
    """Logits (1, h, w) to probabilities (1, H0, W0)."""
    maps = F.interpolate(logits.float()[None], size=tuple(size), mode="bilinear", align_corners=False)
    return maps[0].sigmoid()


def _repeated(vision: Any, count: int) -> Any:
    """Features of one image as those of `count` images, without a copy."""
    names = ("fpn_hidden_states", "fpn_position_encoding")
    levels = {name: tuple(level.expand(count, -1, -1, -1) for level in vision[name]) for name in names}
    return type(vision)(last_hidden_state=vision.last_hidden_state, **levels)


def _padding_box(count: int, device: Any, dtype: torch.dtype) -> dict[str, Tensor]:
    """A box that counts as padding, which leaves the geometry token only."""
    boxes = torch.zeros(count, 1, 4, device=device, dtype=dtype)
    return {"input_boxes": boxes, "input_boxes_labels": torch.full((count, 1), -10, device=device)}


_TENSORS: dict[str, Callable[[Tensor], Any]] = {
    "split3": lambda x: x.chunk(3),
    "drop_row0": lambda x: [x[:, 1:]],
}


def build_transformers(ours: Sam3, dtype: torch.dtype) -> Any:
    """`transformers.Sam3Model` with our weights; float32 ones are shared in memory, not copied.

    Raises:
        ImportError: transformers, the extra "bench", is not installed.
        RuntimeError: A tensor that results depend on got no weight.
    """
    import transformers

    model = transformers.Sam3Model(_transformers_config(transformers, ours.config)).eval()
    weights = {}
    for key, tensor in ours.state_dict().items():
        source = huggingface_source(key)
        weights.update(zip(source.keys, _TENSORS.get(source.op, lambda x: [x])(tensor)))
    missing, unexpected = model.load_state_dict(weights, strict=False, assign=True)
    left = [key for key in missing if not any(part in key for part in UNUSED)]
    if left or unexpected:
        raise RuntimeError(f"weights and transformers.Sam3Model do not match: {left[:3]} {unexpected[:3]}")
    return model.requires_grad_(False).to(device=ours.device, dtype=dtype)


def _transformers_config(transformers: Any, sizes: Sam3Config) -> Any:
    """Its configuration of the same sizes."""
    config = transformers.Sam3Config()
    shared = {"hidden_size": sizes.dim, "num_attention_heads": sizes.heads, "intermediate_size": sizes.ffn_dim}
    grid = sizes.grid
    for part, values in (
        (
            config.vision_config.backbone_config,
            {
                "hidden_size": sizes.vit_dim,
                "intermediate_size": sizes.vit_mlp_dim,
                "num_hidden_layers": sizes.vit_depth,
                "num_attention_heads": sizes.vit_heads,
                "image_size": sizes.image_size,
                "patch_size": sizes.patch_size,
                "pretrain_image_size": sizes.position_grid * sizes.patch_size,
                "window_size": sizes.window,
                "global_attn_indexes": list(sizes.global_blocks),
                "layer_norm_eps": 1e-5,  # of the reference
            },
        ),
        (
            config.vision_config,
            {
                "fpn_hidden_size": sizes.dim,
                "backbone_feature_sizes": [[side, side] for side in (4 * grid, 2 * grid, grid)],
            },
        ),
        (
            config.text_config,
            {
                "hidden_size": sizes.text_width,
                "intermediate_size": 4 * sizes.text_width,
                "num_hidden_layers": sizes.text_layers,
                "num_attention_heads": sizes.text_heads,
                "max_position_embeddings": sizes.context_length,
                "vocab_size": sizes.vocab_size,
            },
        ),
        (config.geometry_encoder_config, {**shared, "num_layers": sizes.geometry_layers, "roi_size": sizes.roi_size}),
        (config.detr_encoder_config, {**shared, "num_layers": sizes.fusion_layers}),
        (
            config.detr_decoder_config,
            {
                **shared,
                "num_layers": sizes.decoder_layers,
                "num_queries": sizes.queries,
            },
        ),
        (config.mask_decoder_config, {"hidden_size": sizes.dim, "num_attention_heads": sizes.heads}),
    ):
        for name, value in values.items():
            setattr(part, name, value)
    return config


class ReferencePeer:
    """PyPI's `sam3`: an image through its processor, then one prompt after another, as the published method does.

    Its processor would encode the text of each prompt again for every image; here the text is encoded once, as for the
    other systems.

    Args:
        ours: The network whose weights it gets.
        dtype: Of the autocast around all calls; the weights stay float32.
        task: What is asked for.
    """

    def __init__(self, ours: Sam3, dtype: torch.dtype, task: Task) -> None:
        from sam3.model.sam3_image_processor import Sam3Processor
        from sam3.model_builder import build_sam3_image_model

        vocabulary = Path(str(importlib.util.find_spec("open_clip").origin)).with_name("bpe_simple_vocab_16e6.txt.gz")
        device = ours.device.type
        model = build_sam3_image_model(
            bpe_path=str(vocabulary), device=device, checkpoint_path=None, load_from_HF=False
        )
        missing, _ = model.load_state_dict(
            {key: value.float() for key, value in ours.state_dict().items()}, strict=False
        )
        needed = set(ours.state_dict()) & set(missing)
        if needed:
            raise RuntimeError(f"weights and sam3's model do not match: {sorted(needed)[:3]}")
        self.processor = Sam3Processor(model.eval(), confidence_threshold=0.5)
        self.dtype = dtype
        self.task = task
        with self._precision():
            self.text = [model.backbone.forward_text([prompt], device=device) for prompt in task.prompts]

    @contextlib.contextmanager
    def _precision(self) -> Iterator[None]:
        with torch.inference_mode(), torch.autocast("cuda", self.dtype, enabled=self.dtype != torch.float32):
            yield

    def __call__(self, image: np.ndarray) -> Results:
        """Label one image (H0, W0, 3)."""
        from PIL import Image

        model = self.processor.model
        found = []
        with self._precision():
            state = self.processor.set_image(Image.fromarray(image))
            for text in self.text:
                out = model.forward_grounding(
                    backbone_out={**state["backbone_out"], **text},
                    find_input=self.processor.find_stage,
                    geometric_prompt=model._get_dummy_prompt(),
                    find_target=None,
                )
                presence = out["presence_logit_dec"].float().sigmoid().flatten()  # (1,)
                scores = out["pred_logits"].float().sigmoid().squeeze(-1) * presence[:, None]  # (1, Q)
                maps = published_scores(presence, scores, out["pred_masks"], out["semantic_seg"], image.shape[:2])
                found.append((presence, scores, maps))
            presence, scores, maps = (torch.cat(parts) for parts in zip(*found))
            return Results(presence, scores, maps, labels_of(maps, self.task.bound))


def reference_is_missing(device: str) -> str | None:
    """Why PyPI's `sam3` cannot take part here, or None."""
    if torch.device(device).type != "cuda":
        return "PyPI's sam3 runs on CUDA only"
    for name in ("sam3", "psutil"):  # sam3 imports psutil without declaring it
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed; install the extra 'bench-sam3' in an environment of its own"
    return None


def prompt_words(count: int) -> tuple[str, ...]:
    """Prompts of one to three words, all different."""
    things = ("building", "road", "water", "tree", "car", "field", "bridge", "ship", "pool", "runway", "bare soil")
    kinds = ("", "large ", "small ", "old ", "new ", "grey ", "red ", "round ", "long ", "dark ", "bright ", "wet ")
    words = [kind + thing for kind in kinds for thing in things]
    words += [f"{kind}{thing} area" for kind in kinds for thing in things]
    return tuple(words[:count])


def background_vocabulary(prompts: Sequence[str]) -> Any:
    """Every prompt a class of its own, the first of which stands for the background."""
    from segearth_ov3.vocabulary import Vocabulary

    return Vocabulary(tuple((prompt,) for prompt in prompts), background=0)


def label_image(segmenter: Segmenter, image: np.ndarray) -> Tensor:
    """Labels of an image (H0, W0); of one class, whose labels would say nothing, its scores."""
    if len(segmenter.vocabulary) == 1:
        return segmenter.class_scores([image])
    return segmenter.predict_labels(image)
