"""Turn the network's names of tensors into Hugging Face's.

Hugging Face's naming differs tensor by tensor, but regularly: a network key is split into module and leaf, the layer
number in it is replaced by "*", and what remains is looked up in `_MODULES`. Fused attention weights (rows q, k, v) are
three tensors there.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Op = Literal["same", "split3", "drop_row0", "none"]


class Source(NamedTuple):
    """Origin of the values of one tensor of the network.

    Attributes:
        op: How the file's tensors make up the network's: "same"; "split3", thirds of axis 0 in the order q, k, v;
            "drop_row0", row 0 of axis 1 (never read by the network) is absent; "none", no counterpart.
        keys: Names in the file, one or three.
    """

    op: Op
    keys: tuple[str, ...]

    def shapes(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Return the shapes that the file's tensors must have to make up a tensor of the given shape."""
        if self.op == "split3":
            return ((shape[0] // 3, *shape[1:]),) * 3
        if self.op == "drop_row0":
            return ((shape[0], shape[1] - 1, *shape[2:]),)
        return (shape,) * len(self.keys)


def _within(official: str, huggingface: str, parts: dict[str, str]) -> dict[str, str]:
    """Return module names of the parts of one block."""
    return {f"{official}.{ours}": f"{huggingface}.{theirs}" for ours, theirs in parts.items()}


_TEXT = "backbone.language_backbone.encoder"
_TRUNK = "backbone.vision_backbone.trunk"

_FEED_FORWARD = {"linear1": "mlp.fc1", "linear2": "mlp.fc2"}
_SELF_ATTENTION = {"self_attn": "self_attn", "self_attn.out_proj": "self_attn.o_proj"}
_FUSION_BLOCK = {
    **_SELF_ATTENTION,
    **_FEED_FORWARD,
    "cross_attn_image": "cross_attn",
    "cross_attn_image.out_proj": "cross_attn.o_proj",
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "norm3": "layer_norm3",
}

# "*" is a layer number, "+" that number plus one
_MODULES: dict[str, str] = {
    **_within(
        f"{_TRUNK}.blocks.*",
        "vision_encoder.backbone.layers.*",
        {
            "norm1": "layer_norm1",
            "norm2": "layer_norm2",
            "attn.qkv": "attention",
            "attn.proj": "attention.o_proj",
            "mlp.fc1": "mlp.fc1",
            "mlp.fc2": "mlp.fc2",
        },
    ),
    f"{_TRUNK}.patch_embed.proj": "vision_encoder.backbone.embeddings.patch_embeddings.projection",
    f"{_TRUNK}.ln_pre": "vision_encoder.backbone.layer_norm",
    **_within(
        "backbone.vision_backbone.convs.*",
        "vision_encoder.neck.fpn_layers.*",
        {
            "dconv_2x2": "scale_layers.0",
            "dconv_2x2_0": "scale_layers.0",
            "dconv_2x2_1": "scale_layers.2",  # 1 is the activation between them
            "conv_1x1": "proj1",
            "conv_3x3": "proj2",
        },
    ),
    **_within(
        f"{_TEXT}.transformer.resblocks.*",
        "text_encoder.text_model.encoder.layers.*",
        {
            "attn": "self_attn",
            "attn.out_proj": "self_attn.out_proj",
            "ln_1": "layer_norm1",
            "ln_2": "layer_norm2",
            "mlp.c_fc": "mlp.fc1",
            "mlp.c_proj": "mlp.fc2",
        },
    ),
    f"{_TEXT}.token_embedding": "text_encoder.text_model.embeddings.token_embedding",
    f"{_TEXT}.ln_final": "text_encoder.text_model.final_layer_norm",
    "backbone.language_backbone.resizer": "text_projection",
    **_within("geometry_encoder.encode.*", "geometry_encoder.layers.*", _FUSION_BLOCK),
    **_within(
        "geometry_encoder",
        "geometry_encoder",
        {
            "label_embed": "label_embed",
            "cls_embed": "cls_embed",
            "boxes_direct_project": "boxes_direct_project",
            "boxes_pool_project": "boxes_pool_project",
            "boxes_pos_enc_project": "boxes_pos_enc_project",
            "final_proj": "final_proj",
            "norm": "prompt_layer_norm",
            "img_pre_norm": "vision_layer_norm",
            "encode_norm": "output_layer_norm",
        },
    ),
    **_within("transformer.encoder.layers.*", "detr_encoder.layers.*", _FUSION_BLOCK),
    **_within(
        "transformer.decoder.layers.*",
        "detr_decoder.layers.*",
        {
            **_SELF_ATTENTION,
            **_FEED_FORWARD,
            "ca_text": "text_cross_attn",
            "ca_text.out_proj": "text_cross_attn.o_proj",
            "cross_attn": "vision_cross_attn",
            "cross_attn.out_proj": "vision_cross_attn.o_proj",
            "norm1": "vision_cross_attn_layer_norm",
            "norm2": "self_attn_layer_norm",
            "norm3": "mlp_layer_norm",
            "catext_norm": "text_cross_attn_layer_norm",
        },
    ),
    **_within(
        "transformer.decoder",
        "detr_decoder",
        {
            "norm": "output_layer_norm",
            "query_embed": "query_embed",
            "reference_points": "reference_points",
            "presence_token": "presence_token",
            "presence_token_out_norm": "presence_layer_norm",
            "bbox_embed.layers.*": "box_head.layer+",
            "presence_token_head.layers.*": "presence_head.layer+",
            "ref_point_head.layers.*": "ref_point_head.layer+",
            "boxRPB_embed_x.layers.*": "box_rpb_embed_x.layer+",
            "boxRPB_embed_y.layers.*": "box_rpb_embed_y.layer+",
        },
    ),
    **_within(
        "segmentation_head",
        "mask_decoder",
        {
            "cross_attend_prompt": "prompt_cross_attn",
            "cross_attend_prompt.out_proj": "prompt_cross_attn.o_proj",
            "cross_attn_norm": "prompt_cross_attn_norm",
            "pixel_decoder.conv_layers.*": "pixel_decoder.conv_layers.*",
            "pixel_decoder.norms.*": "pixel_decoder.norms.*",
            "mask_predictor.mask_embed.layers.*": "mask_embedder.layers.*",
            "semantic_seg_head": "semantic_projection",
            "instance_seg_head": "instance_projection",
        },
    ),
    **_within(
        "dot_prod_scoring",
        "dot_product_scoring",
        {
            "prompt_mlp.layers.*": "text_mlp.layer+",
            "prompt_mlp.out_norm": "text_mlp_out_norm",
            "prompt_proj": "text_proj",
            "hs_proj": "query_proj",
        },
    ),
}

_BARE_PARAMETERS: dict[str, tuple[Op, str]] = {
    f"{_TRUNK}.pos_embed": ("drop_row0", "vision_encoder.backbone.embeddings.position_embeddings"),
    f"{_TEXT}.positional_embedding": ("same", "text_encoder.text_model.embeddings.position_embedding.weight"),
}


def huggingface_source(key: str) -> Source:
    """Return where a Hugging Face file, without prefix, has the network's tensor `key`.

    Args:
        key: Name of the tensor in the official file, without "detector.".

    Returns:
        The source; its `op` is "none" where Hugging Face's model has no such tensor.
    """
    if key in _BARE_PARAMETERS:
        op, name = _BARE_PARAMETERS[key]
        return Source(op, (name,))
    numbers = re.findall(r"(?<=\.)\d+(?=\.)", key)
    module, _, leaf = re.sub(r"(?<=\.)\d+(?=\.)", "*", key).rpartition(".")
    fused = leaf.startswith("in_proj_") or module.endswith(".qkv")
    leaf = leaf.removeprefix("in_proj_")
    if module not in _MODULES or leaf not in ("weight", "bias"):
        return Source("none", ())
    name = _MODULES[module]
    if numbers:
        name = name.replace("*", numbers[0]).replace("+", str(int(numbers[0]) + 1))
    if fused:
        return Source("split3", tuple(f"{name}.{part}_proj.{leaf}" for part in "qkv"))
    return Source("same", (f"{name}.{leaf}",))
