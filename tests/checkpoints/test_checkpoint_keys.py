"""The rules that turn the network's names into those of files, against excerpts of the real lists and all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from segearth_ov3.checkpoints.huggingface_keys import Source, huggingface_source
from segearth_ov3.checkpoints.keys import Naming, find_naming, find_release, foreign_model
from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.config import Sam3Config

# network key, op, Hugging Face keys ("q|k|v" stands for three); at least one line for every rule
EXCERPT = """
backbone.vision_backbone.trunk.pos_embed drop_row0 vision_encoder.backbone.embeddings.position_embeddings
backbone.vision_backbone.trunk.patch_embed.proj.weight same vision_encoder.backbone.embeddings.patch_embeddings.projection.weight
backbone.vision_backbone.trunk.ln_pre.bias same vision_encoder.backbone.layer_norm.bias
backbone.vision_backbone.trunk.blocks.0.norm1.weight same vision_encoder.backbone.layers.0.layer_norm1.weight
backbone.vision_backbone.trunk.blocks.31.norm2.bias same vision_encoder.backbone.layers.31.layer_norm2.bias
backbone.vision_backbone.trunk.blocks.12.attn.qkv.weight split3 vision_encoder.backbone.layers.12.attention.q|k|v_proj.weight
backbone.vision_backbone.trunk.blocks.12.attn.qkv.bias split3 vision_encoder.backbone.layers.12.attention.q|k|v_proj.bias
backbone.vision_backbone.trunk.blocks.7.attn.proj.weight same vision_encoder.backbone.layers.7.attention.o_proj.weight
backbone.vision_backbone.trunk.blocks.7.attn.freqs_cis none
backbone.vision_backbone.trunk.blocks.7.mlp.fc1.weight same vision_encoder.backbone.layers.7.mlp.fc1.weight
backbone.vision_backbone.trunk.blocks.7.mlp.fc2.bias same vision_encoder.backbone.layers.7.mlp.fc2.bias
backbone.vision_backbone.convs.0.dconv_2x2_0.weight same vision_encoder.neck.fpn_layers.0.scale_layers.0.weight
backbone.vision_backbone.convs.0.dconv_2x2_1.bias same vision_encoder.neck.fpn_layers.0.scale_layers.2.bias
backbone.vision_backbone.convs.1.dconv_2x2.weight same vision_encoder.neck.fpn_layers.1.scale_layers.0.weight
backbone.vision_backbone.convs.2.conv_1x1.weight same vision_encoder.neck.fpn_layers.2.proj1.weight
backbone.vision_backbone.convs.1.conv_3x3.bias same vision_encoder.neck.fpn_layers.1.proj2.bias
backbone.language_backbone.encoder.positional_embedding same text_encoder.text_model.embeddings.position_embedding.weight
backbone.language_backbone.encoder.token_embedding.weight same text_encoder.text_model.embeddings.token_embedding.weight
backbone.language_backbone.encoder.ln_final.weight same text_encoder.text_model.final_layer_norm.weight
backbone.language_backbone.encoder.transformer.resblocks.23.attn.in_proj_weight split3 text_encoder.text_model.encoder.layers.23.self_attn.q|k|v_proj.weight
backbone.language_backbone.encoder.transformer.resblocks.23.attn.out_proj.bias same text_encoder.text_model.encoder.layers.23.self_attn.out_proj.bias
backbone.language_backbone.encoder.transformer.resblocks.1.ln_1.weight same text_encoder.text_model.encoder.layers.1.layer_norm1.weight
backbone.language_backbone.encoder.transformer.resblocks.1.ln_2.weight same text_encoder.text_model.encoder.layers.1.layer_norm2.weight
backbone.language_backbone.encoder.transformer.resblocks.1.mlp.c_fc.weight same text_encoder.text_model.encoder.layers.1.mlp.fc1.weight
backbone.language_backbone.encoder.transformer.resblocks.1.mlp.c_proj.bias same text_encoder.text_model.encoder.layers.1.mlp.fc2.bias
backbone.language_backbone.resizer.weight same text_projection.weight
geometry_encoder.label_embed.weight same geometry_encoder.label_embed.weight
geometry_encoder.cls_embed.weight same geometry_encoder.cls_embed.weight
geometry_encoder.points_direct_project.weight none
geometry_encoder.boxes_pool_project.weight same geometry_encoder.boxes_pool_project.weight
geometry_encoder.final_proj.bias same geometry_encoder.final_proj.bias
geometry_encoder.norm.weight same geometry_encoder.prompt_layer_norm.weight
geometry_encoder.img_pre_norm.weight same geometry_encoder.vision_layer_norm.weight
geometry_encoder.encode_norm.weight same geometry_encoder.output_layer_norm.weight
geometry_encoder.encode.2.cross_attn_image.in_proj_bias split3 geometry_encoder.layers.2.cross_attn.q|k|v_proj.bias
geometry_encoder.encode.2.self_attn.out_proj.weight same geometry_encoder.layers.2.self_attn.o_proj.weight
geometry_encoder.encode.0.norm3.weight same geometry_encoder.layers.0.layer_norm3.weight
transformer.encoder.layers.5.self_attn.in_proj_weight split3 detr_encoder.layers.5.self_attn.q|k|v_proj.weight
transformer.encoder.layers.5.cross_attn_image.out_proj.weight same detr_encoder.layers.5.cross_attn.o_proj.weight
transformer.encoder.layers.5.linear1.weight same detr_encoder.layers.5.mlp.fc1.weight
transformer.encoder.layers.5.norm1.bias same detr_encoder.layers.5.layer_norm1.bias
transformer.decoder.layers.0.ca_text.in_proj_weight split3 detr_decoder.layers.0.text_cross_attn.q|k|v_proj.weight
transformer.decoder.layers.0.cross_attn.out_proj.bias same detr_decoder.layers.0.vision_cross_attn.o_proj.bias
transformer.decoder.layers.0.norm1.weight same detr_decoder.layers.0.vision_cross_attn_layer_norm.weight
transformer.decoder.layers.0.norm2.weight same detr_decoder.layers.0.self_attn_layer_norm.weight
transformer.decoder.layers.0.norm3.weight same detr_decoder.layers.0.mlp_layer_norm.weight
transformer.decoder.layers.0.catext_norm.weight same detr_decoder.layers.0.text_cross_attn_layer_norm.weight
transformer.decoder.layers.4.linear2.bias same detr_decoder.layers.4.mlp.fc2.bias
transformer.decoder.norm.weight same detr_decoder.output_layer_norm.weight
transformer.decoder.query_embed.weight same detr_decoder.query_embed.weight
transformer.decoder.reference_points.weight same detr_decoder.reference_points.weight
transformer.decoder.presence_token.weight same detr_decoder.presence_token.weight
transformer.decoder.presence_token_out_norm.bias same detr_decoder.presence_layer_norm.bias
transformer.decoder.presence_token_head.layers.2.weight same detr_decoder.presence_head.layer3.weight
transformer.decoder.bbox_embed.layers.0.weight same detr_decoder.box_head.layer1.weight
transformer.decoder.ref_point_head.layers.1.bias same detr_decoder.ref_point_head.layer2.bias
transformer.decoder.boxRPB_embed_x.layers.0.bias same detr_decoder.box_rpb_embed_x.layer1.bias
transformer.decoder.boxRPB_embed_y.layers.1.bias same detr_decoder.box_rpb_embed_y.layer2.bias
segmentation_head.cross_attend_prompt.in_proj_weight split3 mask_decoder.prompt_cross_attn.q|k|v_proj.weight
segmentation_head.cross_attend_prompt.out_proj.weight same mask_decoder.prompt_cross_attn.o_proj.weight
segmentation_head.cross_attn_norm.weight same mask_decoder.prompt_cross_attn_norm.weight
segmentation_head.pixel_decoder.conv_layers.1.weight same mask_decoder.pixel_decoder.conv_layers.1.weight
segmentation_head.pixel_decoder.norms.0.bias same mask_decoder.pixel_decoder.norms.0.bias
segmentation_head.mask_predictor.mask_embed.layers.2.weight same mask_decoder.mask_embedder.layers.2.weight
segmentation_head.semantic_seg_head.weight same mask_decoder.semantic_projection.weight
segmentation_head.instance_seg_head.bias same mask_decoder.instance_projection.bias
dot_prod_scoring.prompt_mlp.layers.0.weight same dot_product_scoring.text_mlp.layer1.weight
dot_prod_scoring.prompt_mlp.out_norm.bias same dot_product_scoring.text_mlp_out_norm.bias
dot_prod_scoring.prompt_proj.weight same dot_product_scoring.text_proj.weight
dot_prod_scoring.hs_proj.bias same dot_product_scoring.query_proj.bias
"""  # noqa: E501


def _expected(line: str) -> tuple[str, Source]:
    key, op, *name = line.split()
    names = [name[0].replace("q|k|v", part) for part in "qkv"] if op == "split3" else name
    return key, Source(op, tuple(names))


@pytest.mark.parametrize(("key", "source"), [_expected(line) for line in EXCERPT.strip().splitlines()])
def test_rule_gives_hugging_face_name(key: str, source: Source) -> None:
    assert huggingface_source(key) == source


def _table(path: Path) -> list[list[str]]:
    lines = path.read_text().splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def test_rules_reproduce_the_whole_key_map(shared_dir: Path) -> None:
    table = _table(shared_dir / "sam3" / "meta_to_hf.tsv")
    expected = {
        key: Source(op, tuple(filter(None, names.split(","))))
        for key, op, names, *_ in table
        if "text_projection" not in key  # nothing reads it
    }
    assert {key: huggingface_source(key) for key in expected} == expected


@pytest.mark.parametrize("config", [Sam3Config.base(), Sam3Config.demo(), Sam3Config.tiny()])
def test_every_tensor_of_the_network_has_a_hugging_face_name(config: Sam3Config) -> None:
    keys = build_sam3(config, "meta").state_dict()
    assert [key for key in keys if huggingface_source(key).op == "none"] == []


def test_network_and_rules_give_the_shapes_of_the_hugging_face_model(shared_dir: Path) -> None:
    table = _table(shared_dir / "sam3" / "hf_state_dict.tsv")
    expected = {key: tuple(map(int, shape.split("x"))) for key, shape, *_ in table}
    naming = Naming("huggingface", "")
    shapes = {}
    for key, value in build_sam3(Sam3Config.base(), "meta").state_dict().items():
        source = naming.source(key)
        shapes.update(zip(source.keys, source.shapes(tuple(value.shape)), strict=True))
    assert shapes == {key: shape for key, shape in expected.items() if naming.ignored_reason(key) is None}


def test_network_holds_all_official_tensors_but_the_ignored(shared_dir: Path) -> None:
    table = _table(shared_dir / "sam3" / "meta_state_dict.tsv")
    naming = Naming("official", "detector.")
    expected = {
        key: tuple(map(int, shape.split("x")))
        for key, shape, *_ in table
        if naming.ignored_reason(f"detector.{key}") is None
    }
    network = {key: tuple(value.shape) for key, value in build_sam3(Sam3Config.base(), "meta").state_dict().items()}
    assert network == expected


@pytest.mark.parametrize(
    ("op", "shapes"),
    [
        ("same", ((1, 6, 9),)),
        ("split3", ((2, 4), (2, 4), (2, 4))),
        ("drop_row0", ((1, 5, 9),)),
    ],
)
def test_source_tells_the_shapes_of_its_parts(op: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    whole = (1, 6, 9) if op in ("same", "drop_row0") else (6, 4)
    assert Source(op, ("a", "b", "c")[: len(shapes)]).shapes(whole) == shapes


@pytest.mark.parametrize("prefix", ["detector.", ""])
def test_official_naming_is_found(prefix: str) -> None:
    keys = ["tracker.x", prefix + "backbone.vision_backbone.trunk.ln_pre.bias"]
    assert find_naming(keys) == Naming("official", prefix)


@pytest.mark.parametrize("prefix", ["detector_model.", ""])
def test_hugging_face_naming_is_found(prefix: str) -> None:
    assert find_naming(["tracker_neck.x", prefix + "detr_decoder.norm.bias"]) == Naming("huggingface", prefix)


@pytest.mark.parametrize("wrapper", ["module.", "model.", "_orig_mod.", "module.model.", "state_dict."])
@pytest.mark.parametrize("prefix", ["detector.", ""])
def test_wrappers_are_found(wrapper: str, prefix: str) -> None:
    naming = find_naming([wrapper + "tracker.x", wrapper + prefix + "backbone.vision_backbone.trunk.ln_pre.bias"])
    assert naming == Naming("official", prefix, wrapper)
    assert naming.source("transformer.decoder.norm.bias").keys == (f"{wrapper}{prefix}transformer.decoder.norm.bias",)
    assert naming.ignored_reason(f"{wrapper}tracker.x") == "video tracker"


@pytest.mark.parametrize(
    ("key", "release"),
    [
        ("detector.backbone.vision_backbone.interactive_convs.0.conv_1x1.bias", "3.1"),
        ("detector.backbone.vision_backbone.propagation_convs.2.conv_3x3.bias", "3.1"),
        ("detector.backbone.vision_backbone.sam2_convs.0.conv_1x1.bias", "3"),
        ("detector.backbone.vision_backbone.convs.3.conv_1x1.bias", "3"),
        ("detector.backbone.vision_backbone.convs.2.conv_1x1.bias", None),
    ],
)
def test_release_follows_from_the_parts_that_are_not_read(key: str, release: str | None) -> None:
    assert find_release([key], Naming("official", "detector.")) == release


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["memory_attention.layers.0.norm1.bias", "image_encoder.trunk.pos_embed"], "SAM 2"),
        (["sam_mask_decoder.iou_token.weight"], "SAM 2"),
        (["image_encoder.neck.0.weight", "mask_decoder.iou_prediction_head.layers.0.weight"], "SAM 1"),
        (["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"], "SAM 1"),
        (["visual.conv1.weight", "logit_scale"], "CLIP"),
        (["text_model.embeddings.position_ids", "vision_model.encoder.layers.0.layer_norm1.bias"], "CLIP"),
        (["model.0.conv.weight", "model.22.cv2.0.0.conv.weight"], "YOLO/Ultralytics"),
    ],
)
def test_other_models_are_recognised(keys: list[str], words: str) -> None:
    assert words in str(foreign_model(keys))


def test_sam3_is_not_taken_for_another_model(shared_dir: Path) -> None:
    official = [f"detector.{key}" for key, *_ in _table(shared_dir / "sam3" / "meta_state_dict.tsv")]
    huggingface = [key for key, *_ in _table(shared_dir / "sam3" / "hf_state_dict.tsv")]
    assert (foreign_model(official), foreign_model(huggingface)) == (None, None)
