import copy

import pytest
import torch
import torch.nn.functional as F
from helpers.tiny_models import shaken
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn

from mmstan.models.towers import Block
from mmstan.models.towers.block import OpenClipBlock
from mmstan.models.towers.mmpretrain_tower import MMPretrainBlock

C, HEADS = 24, 3


def open_clip_block() -> tuple[nn.Module, Block]:
    theirs = shaken(ResidualAttentionBlock(C, HEADS, ls_init_value=0.5)).eval()
    return theirs, OpenClipBlock(copy.deepcopy(theirs))


def mmpretrain_block() -> tuple[nn.Module, Block]:
    from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer

    theirs = TransformerEncoderLayer(C, HEADS, 2 * C, layer_scale_init_value=0.5)
    theirs = shaken(theirs).eval()
    return theirs, MMPretrainBlock(copy.deepcopy(theirs))


@pytest.fixture(params=[open_clip_block, mmpretrain_block])
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, Block]:
    return request.param()


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('length', [1, 7])
def test_halves_make_the_block(pair: tuple[nn.Module, Block], length: int) -> None:
    theirs, block = pair
    x = torch.randn(2, length, C)
    half = x + block.attend(x)
    whole = half + block.feed_forward(half)
    close(block(x), whole)
    close(whole, theirs(x))
    assert (half - x).abs().max() > 0.01 < (whole - half).abs().max()


@torch.no_grad()
@pytest.mark.parametrize('queries', [1, 3, 7])
def test_queries_limit_the_rows(pair: tuple[nn.Module, Block], queries: int) -> None:
    _, block = pair
    x = torch.randn(2, 7, C)
    close(block.attend(x, queries=queries), block.attend(x)[:, :queries])


@torch.no_grad()
def test_first_row(pair: tuple[nn.Module, Block]) -> None:
    _, block = pair
    x = torch.randn(2, 7, C)
    assert block.first_row(x).shape == (2, 1, C)
    close(block.first_row(x), block(x)[:, :1])


@torch.no_grad()
def test_queries_and_keys_are_those_that_attend(pair: tuple[nn.Module, Block]) -> None:
    theirs, block = pair
    x = torch.randn(2, 7, C)
    update, queries, keys = block.attend_with_queries_keys(x)
    assert torch.equal(update, block.attend(x))
    assert torch.equal(block(x, update), block(x))
    assert not torch.allclose(block(x, 2 * update), block(x))
    norm, attn = getattr(block, 'ln_1', None) or block.ln1, block.attn
    projection = getattr(attn, 'qkv', None)
    weight, bias = (
        (attn.in_proj_weight, attn.in_proj_bias)
        if projection is None
        else (projection.weight, projection.bias)
    )
    qk = F.linear(norm(x), weight, bias).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)[:2]
    assert queries.shape == keys.shape == (2, HEADS, 7, C // HEADS)
    close(torch.stack([queries, keys]), qk)
    if projection is None:  # and attention by torch's own module agrees
        y = norm(x)
        weights = theirs.attn(y, y, y, need_weights=True, average_attn_weights=False)[1]
        close(weights, (queries @ keys.mT / (C // HEADS) ** 0.5).softmax(-1))


def test_gradients_reach_every_parameter(pair: tuple[nn.Module, Block]) -> None:
    theirs, block = pair
    x = torch.randn(2, 5, C)
    for model in (theirs, block):
        model(x)[..., 0].sum().backward()
    grads = {name: p.grad for name, p in theirs.named_parameters()}
    assert dict(block.named_parameters()).keys() == grads.keys()  # names of checkpoints
    for name, parameter in block.named_parameters():
        close(parameter.grad, grads[name])
