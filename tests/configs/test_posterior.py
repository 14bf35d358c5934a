"""Configs of the necks and interactions that are compared with: rates, gradients, multiply-adds."""

from pathlib import Path

import pytest
import torch
from helpers.scripts import PROJECT
from helpers.shipped_configs import assert_learns, load, parameter_groups
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmstan.benchmark.measure import count_multiply_adds, count_parameters
from mmstan.config.tiny import make_tiny

# configs/baselines/..., rate of the towers, weight decay, what is new and learns ten times faster
RECIPES = [
    ('seq_transformer/k400_b16', 8e-6, 0.02, {'neck'}),
    ('seq_transformer/msrvtt_b32', 1e-5, 0.2, {'neck'}),
    ('seq_lstm/k400_b16', 8e-6, 0.02, {'neck'}),
    ('seq_lstm/msrvtt_b32', 1e-5, 0.2, {'neck'}),
    ('temporal_difference/k400_b16', 8e-6, 0.02, {'neck'}),
    ('temporal_difference/msrvtt_b32', 1e-5, 0.2, {'neck'}),
    ('tight_transformer/k400_b16', 8e-6, 0.02, {'cls_head.interaction'}),
    ('tight_transformer/msrvtt_b32', 1e-5, 0.2, {'head.interaction'}),
    ('actionclip/k400_b16', 5e-6, 0.2, {'neck'}),
    ('actionclip/k400_b16_conv', 5e-6, 0.2, {'neck'}),
    ('actionclip/k400_b16_shift', 5e-6, 0.2, set()),
    ('actionclip/msrvtt_b32', 1e-5, 0.2, {'neck'}),
    ('wti/k400_b16', 8e-6, 0.02, {'neck', 'cls_head.interaction'}),
    ('wti/msrvtt_b32', 1e-5, 0.2, {'neck', 'head.interaction'}),
    ('wti/msrvtt_b32_ti', 1e-5, 0.2, {'neck'}),
    ('hunyuan_like/msrvtt_b32', 1e-5, 0.2, {'neck', 'head.interaction'}),
]
# configs/baselines/..., frames, millions of parameters and GMACs of linear layers that the neck has
NECKS = [
    ('seq_transformer/msrvtt_b32', 12, 12_648_960, 0.151),
    ('seq_lstm/msrvtt_b32', 12, 2_101_248, 0.0252),  # a released file has 39,424 more, never read
    ('temporal_difference/msrvtt_b32', 12, 15_803_392, 0.324),
    ('temporal_difference/msrvtt_b32_raw', 12, 12_649_984, 0.289),
    ('actionclip/k400_b16', 8, 18_953_728, 0.151),
    ('actionclip/k400_b16_conv', 8, 1_536, 0.0000123),
]


@pytest.mark.parametrize(('name', 'lr', 'decay', 'new'), RECIPES, ids=[r[0] for r in RECIPES])
def test_recipes(name: str, lr: float, decay: float, new: set[str], tmp_path: Path) -> None:
    groups = parameter_groups(f'baselines/{name}', tmp_path)
    seen = set()
    for key, group in groups.items():
        part = next((prefix for prefix in new if key.startswith(f'{prefix}.')), None)
        seen.add(part)
        assert group['lr'] == pytest.approx(10 * lr if part else lr), key
        assert group['weight_decay'] in (0, decay), key
        if key.endswith(('positions', 'type_embeddings', 'bias')):
            assert group['weight_decay'] == 0
    assert seen == {*new, None}


@pytest.mark.parametrize(
    'name',
    [
        'actionclip/k400_b16_class_token',
        'actionclip/k400_b16_contrastive',
        'actionclip/k400_b16_conv',
        'actionclip/k400_b16_shift',
        'hunyuan_like/msrvtt_b32',
        'seq_lstm/k400_b16',
        'seq_transformer/msrvtt_b32',
        'temporal_difference/k400_b16',
        'temporal_difference/msrvtt_b32_alignment',
        'temporal_difference/msrvtt_b32_linear',
        'tight_transformer/k400_b16',
        'tight_transformer/msrvtt_b32',
        'wti/k400_b16',
        'wti/msrvtt_b32_cdcr',
    ],
)
def test_gradients_reach_every_trainable_parameter(name: str, shapes: Path) -> None:
    assert_learns(make_tiny(load(f'baselines/{name}.py'), data=shapes))


@pytest.mark.parametrize(('name', 'frames', 'parameters', 'gmacs'), NECKS)
def test_parameters_and_multiply_adds(
    name: str, frames: int, parameters: int, gmacs: float
) -> None:
    cfg = Config.fromfile(PROJECT / f'configs/baselines/{name}.py')
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        neck = MODELS.build(cfg.model.neck).eval()
        frames_of_a_clip = torch.empty(1, frames, 512)
    assert count_parameters(neck)[0] == parameters
    counted = count_multiply_adds(neck, frames_of_a_clip).linear / 1e9
    assert counted == pytest.approx(gmacs, rel=0.01)


@pytest.mark.parametrize('name', ['k400_b16', 'msrvtt_b32'])
def test_the_tight_transformer_has_no_temperature(name: str) -> None:
    model = Config.fromfile(PROJECT / f'configs/baselines/tight_transformer/{name}.py').model
    scale = model.cls_head.logit_scale if 'cls_head' in model else model.head.scale
    assert scale == 1
    assert model.get('neck') is None
    assert 'head' not in model or not model.head.trainable_scale
