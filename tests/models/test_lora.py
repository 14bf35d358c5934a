"""LoRA's adapters and quantised layers take part in every backbone."""

import re
from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.export_systems import FRAMES, SIZE, SYSTEMS, make_config
from helpers.tiny_models import shaken
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mmstan.models.layers.attention import is_plain
from mmstan.registry import MODELS

# Attention of open_clip that PyTorch's own module computes, which reads the weights itself.
FOREIGN = re.compile(r'attn_pool\.')


def make_backbone(system: str) -> nn.Module:
    init_default_scope('mmaction')
    return shaken(MODELS.build(make_config(system)['backbone'])).eval()


def list_linear(backbone: nn.Module) -> list[str]:
    names = [name for name, layer in backbone.named_modules() if is_plain(layer)]
    return [name for name in names if not FOREIGN.search(name)]


def run(backbone: nn.Module) -> Tensor:
    clips = torch.randn(2, 3, FRAMES, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    x = backbone(clips)
    return torch.cat([y.flatten(1) for y in (x if isinstance(x, tuple) else (x,))], dim=1)


@pytest.mark.parametrize('system', SYSTEMS)
def test_lora(system: str) -> None:
    """Gradients reach each adapter, and each adapter changes the output."""
    from peft import LoraConfig, inject_adapter_in_model

    backbone = make_backbone(system)
    names = list_linear(backbone)
    # DiST's frozen tower runs without gradients, and one layer of its branch does not run.
    names = [name for name in names if backbone.get_submodule(name).weight.requires_grad]
    before = run(backbone).detach()
    config = LoraConfig(r=2, target_modules=names, init_lora_weights=False)
    adapted: Any = inject_adapter_in_model(config, backbone)
    (run(adapted) ** 2).sum().backward()
    adapters = [name for name, _ in adapted.named_parameters() if 'lora_' in name]
    assert len(adapters) == 2 * len(names) > 0
    idle = [name for name in adapters if not adapted.get_parameter(name).grad.abs().max() > 0]
    assert not idle
    after = run(adapted).detach()
    assert (after - before).abs().max() > 1e-3
    for name in adapters:
        if 'lora_B' in name:
            weight = adapted.get_parameter(name)
            kept = weight.detach().clone()
            weight.data.zero_()
            assert (run(adapted).detach() - after).abs().max() > 0, name
            weight.data.copy_(kept)


@torch.no_grad()
@pytest.mark.filterwarnings('ignore:.*torch.ao.quantization is deprecated:DeprecationWarning')
@pytest.mark.filterwarnings('ignore:torch.quantize_per_tensor:UserWarning')
@pytest.mark.parametrize('system', SYSTEMS)
def test_quantised_layers(system: str) -> None:
    """``quantize_dynamic`` replaces the layers, which are called."""
    backbone = make_backbone(system)
    right, linear = run(backbone), list_linear(backbone)
    quantised = torch.ao.quantization.quantize_dynamic(deepcopy(backbone), {nn.Linear})
    assert any('quantized' in str(type(layer)).lower() for layer in quantised.modules()) or all(
        name.endswith('out_proj') for name in linear
    )
    assert F.cosine_similarity(run(quantised), right).min() > 0.999
