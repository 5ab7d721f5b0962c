"""Find the network's tensors in files by their names: of SAM 3 and SAM 3.1, Meta's or Hugging Face's.

The network's own names are those of the official `sam3.pt` without the leading "detector.". Two namings occur in files:

    official      detector.transformer.decoder.norm.weight      sam3.pt; without the prefix in files of this package
    huggingface   detector_model.detr_decoder.output_layer_norm.weight     model.safetensors; also without the prefix

Either may have the name of a wrapper in front ("module.", "model."), which training programs leave there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from .huggingface_keys import Source, huggingface_source


class Naming(NamedTuple):
    """Names of a file's tensors.

    Attributes:
        style: "official" or "huggingface".
        prefix: What precedes the name of every tensor of the image model.
        wrapper: What precedes the name of every tensor of the file, also before `prefix`.
    """

    style: Literal["official", "huggingface"]
    prefix: str
    wrapper: str = ""

    def source(self, key: str) -> Source:
        """Return where a file of this naming has the network's tensor `key`."""
        source = Source("same", (key,)) if self.style == "official" else huggingface_source(key)
        return Source(source.op, tuple(self.wrapper + self.prefix + name for name in source.keys))

    def inner(self, file_key: str) -> str:
        """Return a name in the file without wrapper and prefix."""
        return file_key.removeprefix(self.wrapper).removeprefix(self.prefix)

    def ignored_reason(self, file_key: str) -> str | None:
        """Return why a tensor that the network does not ask for may stay unread; None if it should not be there."""
        inner = self.inner(file_key)
        for pattern, reason in _IGNORED[self.style]:
            if re.match(pattern, inner):
                return reason
        return None


_VISION = r"backbone\.vision_backbone\."
_IGNORED: dict[str, tuple[tuple[str, str], ...]] = {
    "official": (
        (r"tracker\.", "video tracker"),
        (_VISION + r"sam2_convs\.", "second neck, for the video tracker"),
        (_VISION + r"(interactive|propagation)_convs\.", "necks of SAM 3.1's video tracker"),
        (_VISION + r"trunk\.blocks\.\d+\.attn\.freqs_cis(_real|_imag)?$", "rotary tables, recomputed from the sizes"),
        (_VISION + r"convs\.3\.", "coarsest pyramid level, never read"),
        (r"backbone\.language_backbone\.encoder\.text_projection$", "projection of the pooled text, never read"),
        (r"geometry_encoder\.points_", "point prompts, out of reach of texts and boxes"),
        (r"segmentation_head\.pixel_decoder\.(conv_layers|norms)\.2\.", "third upsampling stage, never run"),
    ),
    "huggingface": (
        (r"tracker_model\.", "video tracker"),
        (r"tracker_neck\.", "second neck, for the video tracker"),
        (r"vision_encoder\.neck\.fpn_layers\.3\.", "coarsest pyramid level, never read"),
        (r"text_encoder\.text_projection\.weight$", "projection of the pooled text, never read"),
        (r"mask_decoder\.pixel_decoder\.(conv_layers|norms)\.2\.", "third upsampling stage, never run"),
    ),
}

RELEASES = ("3", "3.1")
_RELEASE_MARKS = (
    ("3.1", _VISION + r"(interactive|propagation)_convs\."),
    ("3", _VISION + r"(sam2_convs|convs\.3)\.|(tracker_neck|vision_encoder\.neck\.fpn_layers\.3)\."),
)


def find_release(keys: Iterable[str], naming: Naming) -> str | None:
    """Tell SAM 3 from SAM 3.1 by the parts that the image model does not read.

    Args:
        keys: Names of all tensors of a file.
        naming: How the file names them.

    Returns:
        "3" or "3.1"; None where the file has none of these parts.
    """
    inner = [naming.inner(key) for key in keys]
    for release, pattern in _RELEASE_MARKS:
        if any(re.match(pattern, name) for name in inner):
            return release
    return None


_WRAPPER = re.compile(r"(?:(?:module|model|_orig_mod|state_dict)\.)*")
_MARKERS: tuple[tuple[Naming, tuple[str, ...]], ...] = (
    (Naming("official", "detector."), ("backbone.vision_backbone.", "dot_prod_scoring.")),
    (Naming("official", ""), ("backbone.vision_backbone.", "dot_prod_scoring.")),
    (Naming("huggingface", "detector_model."), ("detr_decoder.", "dot_product_scoring.")),
    (Naming("huggingface", ""), ("detr_decoder.", "dot_product_scoring.")),
)

_FOREIGN: tuple[tuple[str, str], ...] = (
    (r"(memory_attention|memory_encoder|sam_mask_decoder)\.|maskmem_tpos_enc", "a SAM 2 checkpoint"),
    (r"mask_decoder\.(pred_obj_score_head|obj_score_token)", "a SAM 2 checkpoint"),
    (r"mask_decoder\.iou_prediction_head\.|prompt_encoder\.pe_layer\.", "a SAM 1 checkpoint"),
    (r"(visual\.(conv1|transformer)|vision_model\.(encoder|embeddings))\.|logit_scale$", "a CLIP checkpoint"),
    (r"(model\.)+\d+\.(conv|bn|cv\d|m)\.", "a YOLO/Ultralytics checkpoint"),
)


def foreign_model(keys: Iterable[str]) -> str | None:
    """Return which other well-known model tensors belong to ("a SAM 2 checkpoint"), or None if unknown."""
    names = list(keys)
    for pattern, description in _FOREIGN:
        if any(re.match(pattern, name) for name in names):
            return description
    return None


def find_naming(keys: Iterable[str]) -> Naming | None:
    """Return how a file names SAM 3's tensors, or None if these are not the tensors of SAM 3."""
    wrappers = {name: match.group() for name in keys if (match := _WRAPPER.match(name))}
    for naming, markers in _MARKERS:
        starts = tuple(naming.prefix + marker for marker in markers)
        for name, wrapper in wrappers.items():
            if name[len(wrapper) :].startswith(starts):
                return naming._replace(wrapper=wrapper)
    return None
