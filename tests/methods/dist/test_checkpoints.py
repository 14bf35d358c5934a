"""The key map of DiST's checkpoints: strict, both ways, both generations of names."""

import re

import pytest
import torch
from helpers.dist_models import make
from helpers.tiny_models import CLIP, shaken
from torch import Tensor

from mmstan.converters import key_map
from mmstan.methods.dist import checkpoints as dist
from mmstan.models import TextTower

TEXT_TOWER = 'cls_head.texts.tower.'


@pytest.fixture
def ours() -> dict[str, Tensor]:
    backbone, text = make(), shaken(TextTower(CLIP))
    return {f'backbone.{k}': v for k, v in backbone.state_dict().items()} | {
        f'{TEXT_TOWER}{k}': v for k, v in text.state_dict().items()
    }


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize('generation', ['dist_net', 'ladder_net'])
def test_there_and_back(ours: dict[str, Tensor], generation: str) -> None:
    released = dist.to_released(ours, generation=generation)
    assert all(name.startswith('backbone.base_encoder.') for name in released)
    assert_same(dist.from_released(released), ours)
    # The file as it is distributed, and a state dict without the prefix.
    assert_same(dist.from_released(dict(model_state=released, epoch=36)), ours)
    bare = dist.to_released(ours, generation=generation, prefix='')
    assert_same(dist.from_released(bare), ours)


def test_released_names_and_shapes(ours: dict[str, Tensor]) -> None:
    """L = 4 blocks, T = 3, g = 2, C = 32, D = 32, d = 8, E = 16, P = 8."""
    released = dist.to_released(ours, prefix='')
    expected = {
        'temporal_stem.weight': (8, 3, 5, 8, 8),
        'input_linears.3.weight': (32, 32),
        'temporal_nets.3.ln.bias': (8,),
        'temporal_nets.3.temporal_net.c_fc1.weight': (8, 8, 3, 1, 1),
        'temporal_nets.3.temporal_net.c_fc2.weight': (8, 8, 1, 3, 3),
        'integration2temporal_nets.3.linear_fuse.weight': (8, 32),
        'temporal2integration_nets.3.cls_token': (1, 1, 3, 32),
        'temporal2integration_nets.3.linear_fuse.weight': (32, 8, 2, 1, 1),
        'integration_nets.3.ln_temporal.weight': (32,),
        'integration_nets.3.ffn.c_proj.weight': (32, 32),
        'integration_nets.3.temporal_ffn.c_fc1.weight': (8, 32, 1, 1, 1),
        'integration_nets.3.temporal_ffn.c_fc2.weight': (8, 8, 3, 1, 1),
        'integration_nets.3.temporal_ffn.c_proj.weight': (32, 8, 1, 1, 1),
        'adapooling_nets.1.positional_embedding': (1, 3, 32),
        'adapooling_nets.1.spatial_transformer.attn.in_proj_weight': (96, 32),
        'adapooling_nets.1.output_map_spatial_cls_token.c_fc.weight': (128, 32),
        'adapooling_nets.1.ln_out_temp_cls_token.weight': (32,),
        'proj_spatial_cls_token.weight': (32, 32),
        'proj': (32, 16),
        'aggregated_cls_token': (1, 1, 32),
        'aggregated_spatial_cls_token': (1, 1, 32),
    }
    for name, shape in expected.items():
        assert released[f'dist_net.{name}'].shape == shape, name
    assert released['logit_scale'].exp().item() == pytest.approx(100)
    assert torch.equal(released['dist_net.proj'].T, ours['backbone.branch.projection.weight'])


def test_names_of_the_older_generation(ours: dict[str, Tensor]) -> None:
    older = dist.to_released(ours, generation='ladder_net', prefix='')
    parts = {m[1] for name in older if (m := re.match(r'ladder_net\.(\w+)', name))}
    assert parts == {
        'temporal_stem',
        'input_map_feat_nets',
        's2t_fuse_nets',
        't2s_fuse_nets',
        'temporal_nets',
        'spatial_nets',
        'final_temporal_nets',
        'proj_spatial_cls_token',
        'ln_post',
        'proj',
        'aggregated_cls_token',
        'aggregated_spatial_cls_token',
    }
    assert not any('dist_net' in name for name in older)
    assert 'visual.conv1.weight' in older and 'token_embedding.weight' in older


def test_text_tower_elsewhere(ours: dict[str, Tensor]) -> None:
    converted = dist.from_released(dist.to_released(ours), text_tower='text_tower.')
    assert 'text_tower.text.token_embedding.weight' in converted
    assert TEXT_TOWER + 'text.token_embedding.weight' in ours


@pytest.mark.parametrize('generation', ['dist_net', 'ladder_net'])
@pytest.mark.parametrize(
    'name',
    [
        'visual.class_embedding',
        'text_projection',
        '{net}.proj',
        '{net}.temporal_nets.2.temporal_net.c_fc1.bias',
    ],
)
def test_strict(ours: dict[str, Tensor], generation: str, name: str) -> None:
    released = dist.to_released(ours, generation=generation)
    name = name.format(net=generation)
    tensor = released.pop(f'backbone.base_encoder.{name}')
    told = name.replace('ladder_net', 'dist_net')  # the newer names
    with pytest.raises(ValueError, match=f'1 tensors missing: {told}'):
        dist.from_released(released)
    released[f'backbone.base_encoder.{name}'] = tensor
    released[f'backbone.base_encoder.{generation}.extra'] = tensor
    with pytest.raises(ValueError, match=r'1 tensors left over: dist_net\.extra'):
        dist.from_released(released)
    ours['backbone.branch.extra'] = tensor
    with pytest.raises(ValueError, match=r'1 tensors left over: backbone\.branch\.extra'):
        dist.to_released(ours)


def test_the_scale_that_is_dropped_is_logged(
    ours: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(key_map, 'print_log', lambda message, *_: said.append(message))
    dist.from_released(dist.to_released(ours, logit_scale=42.0))
    assert said == ['logit_scale is dropped: TextHead(logit_scale=42)']
