"""Layers that do more than their weights say are called, not read, by the fused paths."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from helpers.tiny_models import shaken
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mmstan.methods.dist.integration import QueryBlock
from mmstan.methods.dist.layers import MLP
from mmstan.methods.xclip.message_token import MessageToken
from mmstan.methods.xclip.video_prompting import PromptingLayer
from mmstan.models.cross_frame import TemporalAttention
from mmstan.models.layers.attention import is_plain
from mmstan.models.towers.block import OpenClipBlock
from mmstan.models.towers.mmpretrain_tower import MMPretrainBlock

C, HEADS = 24, 3


def mmpretrain_block() -> nn.Module:
    from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer

    return MMPretrainBlock(TransformerEncoderLayer(C, HEADS, 2 * C))


def open_clip_block(activation: type[nn.Module]) -> nn.Module:
    return OpenClipBlock(ResidualAttentionBlock(C, HEADS, act_layer=activation))


# How a module is made, its inputs' shapes, its linear layers.
MODULES = {
    'quick block': (lambda: open_clip_block(QuickGELU), [(2, 5, C)], 3),
    'gelu block': (lambda: open_clip_block(nn.GELU), [(2, 5, C)], 3),
    'mmpretrain block': (mmpretrain_block, [(2, 5, C)], 2),
    'temporal attention': (lambda: TemporalAttention(C, heads=HEADS), [(2, 3, 4, C)], 2),
    'message': (lambda: MessageToken(C, heads=HEADS), [(2, 3, C)], 2),
    'prompting': (lambda: PromptingLayer(C, HEADS), [(2, 3, C), (2, 5, C)], 5),
    'dist': (lambda: MLP(C, 2 * C), [(2, 5, C)], 2),
    'dist query': (lambda: QueryBlock(C), [(2, 1, C), (2, 5, C)], 3),
}


class Adapted(nn.Module):
    """LoRA's form: a linear layer, and an update beside it."""

    def __init__(self, layer: nn.Linear, update: Tensor) -> None:
        super().__init__()
        self.base_layer = layer
        self.update = nn.Parameter(update)

    @property
    def weight(self) -> Tensor:
        return self.base_layer.weight

    @property
    def bias(self) -> Tensor | None:
        return self.base_layer.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + x @ self.update.T


class Added(nn.Module):
    """A parametrisation: the weight and an update."""

    def __init__(self, update: Tensor) -> None:
        super().__init__()
        self.update = update

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.update


def wrap(module: nn.Module, name: str, update: Tensor) -> None:
    parent, _, leaf = name.rpartition('.')
    setattr(module.get_submodule(parent), leaf, Adapted(module.get_submodule(name), update))


def parametrise(module: nn.Module, name: str, update: Tensor) -> None:
    parametrize.register_parametrization(module.get_submodule(name), 'weight', Added(update))


def hook(module: nn.Module, name: str, update: Tensor) -> None:
    layer = module.get_submodule(name)
    layer.register_forward_hook(lambda _, inputs, output: output + inputs[0] @ update.T)


def replace_forward(module: nn.Module, name: str, update: Tensor) -> None:
    layer = module.get_submodule(name)
    plain = layer.forward
    layer.forward = lambda x: plain(x) + x @ update.T


def run(module: nn.Module, shapes: list[tuple[int, ...]]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    inputs: list[Any] = [torch.randn(shape, generator=generator) for shape in shapes]
    if isinstance(module, TemporalAttention):
        inputs.append((2, 2))
    if isinstance(module, PromptingLayer):
        inputs[1] = module.project_keys_values(inputs[1])
    return module(*inputs)


@torch.no_grad()
@pytest.mark.parametrize('change', [wrap, parametrise, hook, replace_forward])
@pytest.mark.parametrize('name', MODULES)
def test_changed_layers_count(name: str, change: Callable[..., None]) -> None:
    """As if their weights had been changed by as much."""
    make, shapes, layers = MODULES[name]
    module = shaken(make()).eval()
    linear = [key for key, layer in module.named_modules() if is_plain(layer)]
    assert len(linear) == layers
    before = run(module, shapes)
    for key in linear:
        changed, right = deepcopy(module), deepcopy(module)
        weight = right.get_submodule(key).weight
        update = 0.3 * torch.randn(weight.shape)
        weight += update
        change(changed, key, update)
        assert not is_plain(changed.get_submodule(key))
        torch.testing.assert_close(run(changed, shapes), run(right, shapes), rtol=1e-4, atol=1e-5)
        assert (run(right, shapes) - before).abs().max() > 1e-3, key


def test_gradients_reach_adapters() -> None:
    block = open_clip_block(QuickGELU).requires_grad_(False)
    for name in ('attn.out_proj', 'mlp.c_fc', 'mlp.c_proj'):
        wrap(block, name, torch.zeros_like(block.get_submodule(name).weight))
    block(torch.randn(2, 5, C))[..., 0].sum().backward()
    grads = [p.grad for p in block.parameters() if p.requires_grad]
    assert len(grads) == 3
    assert all(grad.abs().max() > 0 for grad in grads)


def test_wrapped_attention_is_refused() -> None:
    block = open_clip_block(QuickGELU)
    block.attn = nn.Sequential(block.attn)
    with pytest.raises(TypeError, match='attention is a Sequential, expected nn'):
        block(torch.randn(2, 5, C))
