"""The cost table of training beside a frozen tower, on towers of a few thousand parameters."""

import argparse
from types import ModuleType

import pytest
import torch
from helpers.scripts import script
from helpers.tiny_models import CLIP


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return script('benchmarks/training_step')


def gradients(tool: ModuleType, method: str) -> tuple[set[str], set[str]]:
    """Parameters that a step changes, and tower blocks whose outputs have a graph."""
    backbone, t = tool.build(method, CLIP, frames=3, gamma=2)
    assert t == (6 if method.startswith('DiST') else 3)
    with_graph: set[str] = set()
    for name, module in backbone.tower.named_modules():
        if name.endswith('mlp.c_fc') or name.endswith('ln_1'):
            module.register_forward_hook(
                lambda _, __, x, name=name: with_graph.add(name) if x.requires_grad else None
            )
    before = {name: p.clone() for name, p in backbone.named_parameters()}
    step, _ = tool.training_step(backbone, torch.randn(2, 3, t, 32, 32))
    step()
    changed = {name for name, p in backbone.named_parameters() if not torch.equal(p, before[name])}
    return changed, with_graph


@pytest.mark.parametrize('method', ['DiST', 'DiST, bf16 tower'])
def test_dist_has_no_graph_in_the_tower(tool: ModuleType, method: str) -> None:
    changed, with_graph = gradients(tool, method)
    assert changed and all(name.startswith('branch.') for name in changed)
    assert not with_graph


def test_st_adapter_goes_back_through_the_frozen_tower(tool: ModuleType) -> None:
    changed, with_graph = gradients(tool, 'ST-Adapter')
    assert changed and all(name.startswith('adapters.') for name in changed)
    assert 'visual.transformer.resblocks.1.ln_1' in with_graph


def test_full_fine_tuning_trains_the_tower(tool: ModuleType) -> None:
    changed, with_graph = gradients(tool, 'full fine-tuning')
    assert 'tower.visual.conv1.weight' in changed
    assert 'visual.transformer.resblocks.0.ln_1' in with_graph


@pytest.mark.parametrize('method', ['DiST', 'full fine-tuning'])
def test_figures(tool: ModuleType, method: str) -> None:
    options = argparse.Namespace(
        method=method,
        tower=CLIP,
        frames=3,
        gamma=2,
        clips=2,
        size=32,
        device='cpu',
        threads=1,
        steps=2,
    )
    figures = tool.measure(options)
    backbone, _ = tool.build(method, CLIP, frames=3, gamma=2)
    every, trained = tool.count_parameters(backbone)
    assert figures['trained'] == trained / 1e6
    # Adam keeps two averages of every trained parameter, and a counter a tensor.
    assert figures['held'] * 1e9 == pytest.approx(4 * (every + 2 * trained), rel=0.02)
    assert figures['memory'] >= figures['held']
    assert figures['step'] > 0
