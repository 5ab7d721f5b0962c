"""The SAM 3 image model: the whole method on one page.

    pixels ─ encode_trunk ─ encode_pyramid ─ prepare ──┐  once per image
    words  ─ encode_text ─────────────── prompt ───────┤  once per vocabulary (text), per image (boxes)
                                                       ├─ fuse ─ detect ─ segment    per prompt

The steps per prompt take the features of one image, which all P prompts share, or of P images, one for each prompt
(`ImageFeatures.select`). Work may stop after any step, and whatever stands between two steps may be changed there:
token refiners act on the trunk's output, on the pyramid and on the memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import OptionError, ShapeError
from ..shapes import check_shape
from .attention import Attention
from .compilation import CompiledSteps
from .config import Sam3Config
from .decoder import DecoderOutput
from .digest import weights_digest
from .geometry import GeometryEncoder
from .holders import Backbone, Transformer
from .layers import Conv2d, ConvTranspose2d, Linear, to_map, to_tokens
from .mask_head import SegmentationHead
from .outputs import BoxPrompts, Detection, Grounding, ImageFeatures, Masks, Prompt, TextFeatures
from .positions import sine_map
from .scoring import DotProductScoring
from .tokenizer import tokenize


class Sam3(nn.Module):
    """Text- and box-prompted detection and segmentation.

    Made by `build.build_sam3` from a `Sam3Config`, with weights by `checkpoints.load_sam3`.

    Attributes:
        checkpoint_name: File or folder that the weights were loaded from, without the folders above; None if unknown.
    """

    checkpoint_name: str | None = None

    positions: Tensor

    def __init__(
        self,
        config: Sam3Config,
        *,
        backbone: Backbone,
        geometry_encoder: GeometryEncoder,
        transformer: Transformer,
        segmentation_head: SegmentationHead,
        dot_prod_scoring: DotProductScoring,
    ) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.geometry_encoder = geometry_encoder
        self.transformer = transformer
        self.segmentation_head = segmentation_head
        self.dot_prod_scoring = dot_prod_scoring
        self._compiled: CompiledSteps | None = None
        self.register_buffer("positions", sine_map(config.grid, config.grid, config.dim), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.geometry_encoder.cls_embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Compute dtype: that of the matrix products."""
        return self.geometry_encoder.final_proj.weight.dtype

    def weights_digest(self) -> str:
        """Return the SHA-256 of the weights, see `digest.weights_digest`; takes seconds at full size."""
        return weights_digest(self)

    def compile_steps(self, prompts: int, masks: int | None = None, *, backend: str = "inductor") -> Sam3:
        """Run the heavy steps compiled from now on; the first images take minutes longer.

        Args:
            prompts: Prompts that go through a step together, at least 1; fewer are filled up to it.
            masks: The same for the step that makes masks; None: as `prompts`.
            backend: Of `torch.compile`; on CUDA, "inductor" records CUDA graphs.

        Returns:
            The network itself. Results are the same up to rounding.

        Raises:
            OptionError: Not a positive number.
        """
        masks = prompts if masks is None else masks
        for value in (prompts, masks):
            if type(value) is not int or value < 1:
                raise OptionError(f"expected the prompts of a compiled step as a whole number from 1, got {value!r}")
        if self._compiled is None or self._compiled.settings != (prompts, masks, backend, self.device, self.dtype):
            self._compiled = CompiledSteps(self, prompts, masks, backend)
        return self

    # ---- once per image

    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        """Everything that depends on the image alone.

        Args:
            pixels: (B, 3, R, R), as `preprocess` makes them.

        Returns:
            Features of B images.

        Raises:
            ShapeError: Another size than the model's.
        """
        trunk = self.encode_trunk(pixels)
        return self.prepare(trunk, self.encode_pyramid(trunk))

    def encode_trunk(self, pixels: Tensor) -> Tensor:
        """Vision transformer: (B, 3, R, R) to (B, Dv, g, g)."""
        side = self.config.image_size
        check_shape("pixels", pixels, f"B 3 {side} {side}", hint="use sam3.preprocess.preprocess")
        return (self._compiled or self.backbone.vision_backbone).trunk(pixels)

    def encode_pyramid(self, trunk: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Neck: (B, Dv, g, g) to the pyramid, finest first; in the compute dtype."""
        if self._compiled is not None:
            return self._compiled.pyramid(trunk)
        fine, middle, coarse = (branch(trunk) for branch in self.backbone.vision_backbone.convs)
        return fine, middle, coarse

    def prepare(self, trunk: Tensor, levels: tuple[Tensor, Tensor, Tensor]) -> ImageFeatures:
        """The share of geometry encoder, fusion encoder and pixel decoder that no prompt changes.

        Args:
            trunk: (B, Dv, g, g).
            levels: Pyramid as `encode_pyramid` returns it, refined or not.

        Returns:
            Features of B images.
        """
        coarse = to_tokens(levels[2]).to(self.positions.dtype)  # (B, g*g, D)
        geometry, _ = self.geometry_encoder(coarse, self.positions)
        tokens, queries = self.transformer.encoder.start(coarse, self.positions)
        bases = self.segmentation_head.pixel_decoder.bases(levels)
        return ImageFeatures(trunk, levels, geometry, tokens, queries, bases)

    # ---- once per vocabulary

    def encode_text(self, texts: Sequence[str]) -> TextFeatures:
        """Encode P prompts, given in words; independent of any image."""
        ids = tokenize(texts, self.config.context_length).to(self.device)
        return self.backbone.language_backbone(ids, self.dtype)

    # ---- per prompt

    def prompt(self, image: ImageFeatures, text: TextFeatures, boxes: BoxPrompts | None = None) -> Prompt:
        """Join text and geometry.

        Args:
            image: Features of one image, or of one for each prompt.
            text: P prompts.
            boxes: Box exemplars of the P prompts; without them the image's geometry token stands for them.

        Returns:
            The prompt that the three following steps take.

        Raises:
            ShapeError: Neither one image nor one per prompt, or another number of box rows than prompts.
        """
        count = len(text.tokens)
        if len(image.geometry) not in (1, count):
            raise ShapeError(
                f"expected features of one image or of one for each of {count} prompts, got {len(image.geometry)}; "
                f"choose by ImageFeatures.select"
            )
        if boxes is None:
            geometry = image.geometry.expand(count, -1, -1)  # (P, 1, D)
            padding = text.padding.new_zeros(count, 1)
        else:
            check_shape("boxes", boxes.boxes, f"{count} M 4", hint="one row of boxes per prompt")
            coarse = to_tokens(image.levels[2]).to(self.positions.dtype)
            geometry, padding = self.geometry_encoder(coarse, self.positions, boxes)
        return Prompt(torch.cat((text.tokens, geometry), dim=1), torch.cat((text.padding, padding), dim=1))

    def fuse(self, image: ImageFeatures, prompt: Prompt) -> Tensor:
        """Let the image tokens read P prompts.

        Returns:
            Memory (P, D, g, g).
        """
        if self._compiled is not None:
            return self._compiled.fuse(image.fusion_tokens, image.fusion_queries, prompt)
        memory = self.transformer.encoder(image.fusion_tokens, image.fusion_queries, self.positions, prompt)
        return to_map(memory, self.config.grid)

    def detect(self, memory: Tensor, prompt: Prompt) -> Detection:
        """Find objects and say whether the prompt is there at all, before any mask is made.

        Args:
            memory: (P, D, g, g), from `fuse`, refined or not.
            prompt: The prompts that made it.

        Returns:
            Detection of P prompts.
        """
        if self._compiled is not None:
            return self._compiled.detect(memory, prompt)
        return self.detection(self.transformer.decoder(to_tokens(memory), self.positions, prompt), prompt)

    def detect_with_importance(self, memory: Tensor, prompt: Prompt) -> tuple[Detection, Tensor]:
        """As `detect`, and say which image tokens the object queries looked at.

        Args:
            memory, prompt: As for `detect`.

        Returns:
            What `detect` returns, to the last bit, and the importance of every image token (P, g, g): the decoder's
            attention to the image, mean over layers, heads and object queries (without the presence token), float32,
            not negative, sums to 1 per prompt.
        """
        decoded = self.transformer.decoder(to_tokens(memory), self.positions, prompt, with_importance=True)
        assert decoded.importance is not None
        grid = self.config.grid
        return self.detection(decoded, prompt), decoded.importance.unflatten(1, (grid, grid))

    def detection(self, decoded: DecoderOutput, prompt: Prompt) -> Detection:
        """Score the queries that the decoder returned for P prompts."""
        scores = self.dot_prod_scoring(decoded.queries, prompt)
        return Detection(decoded.presence_logits, scores, decoded.boxes[-1], decoded.queries)

    def segment(
        self, memory: Tensor, detection: Detection, prompt: Prompt, image: ImageFeatures, keep: Tensor
    ) -> Masks:
        """Make the semantic maps, and the masks of the kept queries only.

        Args:
            memory: (P, D, g, g).
            detection: Of the same P prompts.
            prompt: Of the same P prompts.
            image: Features of the image, or of one for each prompt.
            keep: Queries whose masks are wanted (P, Q), bool; on the CPU, the device need not be waited for.

        Returns:
            Semantic maps of P prompts and K masks, float32.
        """
        pixels = (self._compiled or self.segmentation_head).embed_pixels(memory, prompt, image.pixel_bases)
        counts = keep.sum(1).tolist()
        prompt_index, query_index = (index.to(pixels.device, non_blocking=True) for index in keep.nonzero().unbind(1))
        mask_logits = self.segmentation_head.masks(detection.queries[prompt_index, query_index], pixels, counts)
        semantic_logits = self.segmentation_head.semantic_seg_head(pixels)[:, 0]
        single = self.positions.dtype
        return Masks(mask_logits.to(single), prompt_index, query_index, semantic_logits.to(single))

    def ground(self, image: ImageFeatures, text: TextFeatures, boxes: BoxPrompts | None = None) -> Grounding:
        """All outputs for P prompts and all queries: `prompt`, `fuse`, `detect` and `segment`."""
        prompt = self.prompt(image, text, boxes)
        memory = self.fuse(image, prompt)
        detection = self.detect(memory, prompt)
        keep = torch.ones_like(detection.score_logits, dtype=torch.bool)
        masks = self.segment(memory, detection, prompt, image, keep)
        mask_logits = masks.mask_logits.unflatten(0, keep.shape)  # (P, Q, 4g, 4g)
        return Grounding(
            detection.presence_logits, detection.score_logits, detection.boxes, mask_logits, masks.semantic_logits
        )


def parameter_dtypes(model: Sam3, dtype: torch.dtype) -> dict[str, torch.dtype]:
    """The dtype in which each state-dict entry is stored so that the model computes in `dtype`.

    Weights of matrix products and convolutions take `dtype`; norms, embeddings, the text tower (which runs under
    autocast) and the layers that the reference keeps in float32 stay float32.

    Args:
        model: The model; parameters may be on "meta".
        dtype: Compute dtype: float32, bfloat16 or float16.

    Returns:
        Dtype by key of `model.state_dict()`.
    """
    castable = (Linear, Conv2d, ConvTranspose2d, Attention)
    dtypes = dict.fromkeys(model.state_dict(), torch.float32)
    for prefix, module in model.named_modules():
        if isinstance(module, castable):
            dtypes.update((f"{prefix}.{name}", dtype) for name, _ in module.named_parameters(recurse=False))
    return dtypes


def set_compute_dtype(model: Sam3, dtype: torch.dtype) -> Sam3:
    """Change the compute dtype of a model in place and return it; see `parameter_dtypes`."""
    dtypes = parameter_dtypes(model, dtype)
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.to(dtypes[name])
    return model.train(model.training)  # forgets what was computed from the old weights
