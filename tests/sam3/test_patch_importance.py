"""Importance of image tokens against torch.nn.MultiheadAttention, which returns its weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from golden import load_tiny
from torch import Tensor

from segearth_ov3.sam3.attention import Attention
from segearth_ov3.sam3.decoder import Decoder, DecoderOutput
from segearth_ov3.sam3.layers import to_tokens
from segearth_ov3.sam3.model import Sam3
from segearth_ov3.sam3.outputs import Prompt

PROMPTS, TEXT = 3, 7


@pytest.fixture(scope="module")
def model() -> Sam3:
    return load_tiny()


def random_inputs(model: Sam3, prompts: int = PROMPTS, seed: int = 0) -> tuple[Tensor, Prompt]:
    """Random memory (P, D, g, g) and prompts, some of whose tokens are padding."""
    generator = torch.Generator().manual_seed(seed)
    dim, grid = model.config.dim, model.config.grid
    memory = 2 * torch.randn((prompts, dim, grid, grid), generator=generator)
    padding = torch.rand((prompts, TEXT), generator=generator) < 0.4
    padding[:, 0] = False
    return memory, Prompt(torch.randn((prompts, TEXT, dim), generator=generator), padding)


def multihead(attention: Attention) -> torch.nn.MultiheadAttention:
    """The same attention as torch's module, in float64."""
    dim = attention.in_proj_weight.shape[1]
    module = torch.nn.MultiheadAttention(dim, attention.heads, batch_first=True)
    module.load_state_dict(attention.state_dict())
    return module.double()


@torch.no_grad()
def slow_layer(
    decoder: Decoder, index: int, state: Tensor, boxes: Tensor, memory: Tensor, code: Tensor, prompt: Prompt
) -> tuple[Tensor, Tensor]:
    """One layer by torch's modules in float64: tokens (P, 1 + Q, D) and weights (P, heads, 1 + Q, g*g)."""
    layer = decoder.layers[index]
    positions, bias = decoder._box_terms(boxes)
    positions, bias = positions.double(), bias.dense(torch.float64).expand(len(memory), -1, -1, -1)

    def norm(name: str, x: Tensor) -> Tensor:
        module = getattr(layer, name)
        return F.layer_norm(x, x.shape[-1:], module.weight.double(), module.bias.double(), 1e-5)

    query = state + positions
    state = norm("norm2", state + multihead(layer.self_attn)(query, query, state)[0])
    query = (state + positions).expand(len(memory), -1, -1)
    words = prompt.tokens.double()
    read = multihead(layer.ca_text)(query, words, words, key_padding_mask=prompt.padding)[0]
    state = norm("catext_norm", state + read)
    read, weights = multihead(layer.cross_attn)(
        state + positions, memory + code, memory, attn_mask=bias.flatten(0, 1), average_attn_weights=False
    )
    state = norm("norm1", state + read)
    hidden = F.relu(F.linear(state, layer.linear1.weight.double(), layer.linear1.bias.double()))
    update = F.linear(hidden, layer.linear2.weight.double(), layer.linear2.bias.double())
    return norm("norm3", state + update), weights


def slow_weights(model: Sam3, memory: Tensor, prompt: Prompt, decoded: DecoderOutput) -> Tensor:
    """Attention weights of all layers (layers, P, heads, 1 + Q, g*g), float64.

    Each layer starts from the decoder's own state; that it ends there too shows that the weights are the right ones.
    """
    decoder = model.transformer.decoder
    first = torch.cat((decoder.presence_token.weight, decoder.query_embed.weight))[None]
    states = [first.double(), *(tokens.double() for tokens in decoded.tokens)]
    tokens, code = to_tokens(memory).double(), model.positions.double()
    found = []
    for index in range(len(decoder.layers)):
        after, weights = slow_layer(decoder, index, states[index], decoded.boxes[index], tokens, code, prompt)
        torch.testing.assert_close(after, states[index + 1], atol=2e-5, rtol=0)
        found.append(weights)
    return torch.stack(found)


def test_importance_is_the_mean_attention_of_the_queries_without_the_presence_token(model: Sam3) -> None:
    memory, prompt = random_inputs(model)
    _, importance = model.detect_with_importance(memory, prompt)
    decoded = model.transformer.decoder(to_tokens(memory), model.positions, prompt)
    weights = slow_weights(model, memory, prompt, decoded)
    expected = weights[:, :, :, 1:].mean((0, 2, 3)).unflatten(1, importance.shape[1:])
    torch.testing.assert_close(importance.double(), expected, atol=1e-8, rtol=1e-4)
    assert not torch.allclose(importance.double(), weights.mean((0, 2, 3)).view_as(expected), atol=1e-8, rtol=1e-3)


def test_importance_follows_rows_and_columns_of_the_memory(model: Sam3) -> None:
    memory, prompt = random_inputs(model, 1)
    empty, marked = torch.zeros_like(memory), torch.zeros_like(memory)
    marked[0, :, 3, 11] = 3 * memory[0, :, 3, 11]
    maps = [model.detect_with_importance(each, prompt)[1][0] for each in (empty, marked)]
    assert (maps[1] - maps[0]).abs().argmax() == 3 * model.config.grid + 11


def test_importance_is_a_distribution_per_prompt(model: Sam3) -> None:
    memory, prompt = random_inputs(model)
    _, importance = model.detect_with_importance(memory, prompt)
    assert importance.dtype == torch.float32
    assert importance.shape == (PROMPTS, model.config.grid, model.config.grid)
    assert (importance >= 0).all()
    torch.testing.assert_close(importance.sum((1, 2)), torch.ones(PROMPTS))


def test_detection_with_importance_is_the_plain_one_to_the_last_bit(model: Sam3) -> None:
    memory, prompt = random_inputs(model)
    with_importance, _ = model.detect_with_importance(memory, prompt)
    for field, plain in zip(with_importance, model.detect(memory, prompt)):
        assert torch.equal(field, plain)


def test_plain_detection_computes_no_weights(model: Sam3, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, prompt = random_inputs(model)
    monkeypatch.setattr(Attention, "weights", None)
    decoded = model.transformer.decoder(to_tokens(memory), model.positions, prompt)
    assert decoded.importance is None


def test_weights_of_one_prompt_at_a_time_are_held(model: Sam3, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    plain = Attention.weights

    def recording(*arguments: Tensor) -> Tensor:
        weights = plain(*arguments)
        sizes.append(weights.numel())
        return weights

    monkeypatch.setattr(Attention, "weights", staticmethod(recording))
    model.detect_with_importance(*random_inputs(model))
    config = model.config
    assert sizes == [config.heads * config.queries * config.grid**2] * (PROMPTS * config.decoder_layers)


def test_prompts_of_a_batch_do_not_mix(model: Sam3) -> None:
    memory, prompt = random_inputs(model)
    _, together = model.detect_with_importance(memory, prompt)
    for row in range(PROMPTS):
        one = slice(row, row + 1)
        _, alone = model.detect_with_importance(memory[one], prompt.select(one))
        torch.testing.assert_close(alone, together[one], atol=1e-8, rtol=1e-4)


def test_no_prompt_gives_no_map(model: Sam3) -> None:
    _, importance = model.detect_with_importance(*random_inputs(model, 0))
    assert importance.shape == (0, model.config.grid, model.config.grid)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_importance_is_near_that_of_float32(model: Sam3, dtype: torch.dtype) -> None:
    memory, prompt = random_inputs(model)
    _, exact = model.detect_with_importance(memory, prompt)
    _, importance = load_tiny(dtype).detect_with_importance(memory, prompt)
    assert importance.dtype == torch.float32
    assert 0 < (importance - exact).abs().sum((1, 2)).max() < 0.05


@pytest.mark.parametrize("per_row_bias", [True, False])
def test_weights_times_values_is_what_attention_returns(per_row_bias: bool) -> None:
    torch.manual_seed(0)
    attention = Attention(32, 4)
    queries, keys, values = torch.randn(3, 5, 32), 3 * torch.randn(3, 9, 32), torch.randn(3, 9, 32)
    bias = 2 * torch.randn(3 if per_row_bias else 1, 4, 5, 9)
    (q,), (k,), (v,) = attention.project(queries, "q"), attention.project(keys, "k"), attention.project(values, "v")
    read = (attention.weights(q, k, bias) @ v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention.out_proj(read), attention.attend(q, k, v, bias), atol=1e-6, rtol=1e-5)


def test_weights_stay_in_float32_under_autocast() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, bias = (torch.randn(size, generator=generator) for size in [(2, 4, 5, 8), (2, 4, 9, 8), (1, 4, 5, 9)])
    plain = Attention.weights(q, k, bias)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(Attention.weights(q, k, bias), plain)
