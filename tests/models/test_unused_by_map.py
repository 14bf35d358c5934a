"""A map of a backbone's patches, as detection reads it, and the parameters that it leaves out."""

import re
from typing import Any

import pytest
import torch
from helpers.tiny_models import TOWER, VIT_TOWER

from mmstan.models.backbones import VideoBackbone
from mmstan.registry import MODELS

FROZEN = dict(TOWER, frozen=True)
T, SIZE = 4, 32
EVL = dict(type='mmstan.EVL', layers=2, num_frames=T, image_size=SIZE)
DIST = dict(type='mmstan.DiST', num_frames=T // 2, width=32, temporal_width=8)
BACKBONES: dict[str, dict[str, Any]] = {
    'clip': dict(type='mmstan.FrameEncoder'),
    'stan': dict(type='mmstan.STAN', levels=(3, 4)),
    'stan with level projections': dict(
        type='mmstan.STAN', levels=(3, 4), networks=2, level_projection=True
    ),
    'stan joint': dict(type='mmstan.STAN', levels=(3, 4), cross_frame=None, intra_frame='joint'),
    'stan of cross-frame modules': dict(type='mmstan.STAN', levels=(3, 4), intra_frame='none'),
    'xclip': dict(type='mmstan.XCLIP'),
    'xclip without context': dict(type='mmstan.XCLIP', context=False),
    'st_adapter': dict(type='mmstan.STAdapter', hidden=8),
    'st_adapter before both halves': dict(
        type='mmstan.STAdapter', hidden=8, before=('attention', 'mlp'), features='clip'
    ),
    'shift': dict(type='mmstan.TemporalShift'),
    'tubes': dict(type='mmstan.TubePatches'),
    'joint space-time': dict(type='mmstan.JointSpaceTime', num_frames=T),
    'divided space-time': dict(type='mmstan.DividedSpaceTime', num_frames=T),
    'evl': EVL,
}
CASES = {
    **{
        f'{name}, {kind}': dict(cfg, tower=tower)
        for name, cfg in BACKBONES.items()
        for kind, tower in (('trained tower', TOWER), ('frozen tower', FROZEN), ('vit', VIT_TOWER))
    },
    'dist': dict(DIST, tower=FROZEN),
    'dist without one interaction': dict(DIST, tower=FROZEN, temporal_to_integration=None),
    'dist without the other': dict(DIST, tower=FROZEN, integration_to_temporal=None),
    'dist without a temporal encoder': dict(
        DIST,
        tower=FROZEN,
        temporal_block=None,
        integration_to_temporal=None,
        temporal_to_integration=None,
    ),
    'dist without an integration branch': dict(
        DIST,
        tower=FROZEN,
        integration=False,
        integration_to_temporal=None,
        temporal_to_integration=None,
    ),
}


def find_unused(backbone: VideoBackbone) -> set[str]:
    """Names of the trainable parameters that autograd does not reach from the map."""
    feature_map = backbone.feature_map(torch.randn(2, 3, T, SIZE, SIZE))
    if feature_map.requires_grad:
        # Not the sum of squares: of a normalised patch that is the same for all patches.
        (feature_map * torch.randn_like(feature_map)).sum().backward()
    return {n for n, p in backbone.named_parameters() if p.requires_grad and p.grad is None}


@pytest.mark.parametrize('name', CASES)
def test_the_list_is_what_autograd_leaves_out(name: str) -> None:
    backbone = MODELS.build(CASES[name])
    listed = {
        name
        for name, parameter in backbone.named_parameters()
        if parameter.requires_grad
        and any(re.fullmatch(pattern, name) for pattern in backbone.unused_by_map)
    }
    assert find_unused(backbone) == listed


def test_parameters_that_only_the_features_read_are_listed() -> None:
    xclip, dist = (MODELS.build(CASES[name]) for name in ('xclip, trained tower', 'dist'))
    assert {name.split('.')[0] for name in find_unused(xclip)} == {'tower', 'context'}
    assert {name.split('.')[1] for name in find_unused(dist)} == {
        'cls_projection',
        'norm',
        'pooling',
        'projection',
    }


def test_every_backbone_has_a_case() -> None:
    registered = {
        cls
        for cls in MODELS.module_dict.values()
        if isinstance(cls, type)
        and issubclass(cls, VideoBackbone)
        and cls.__module__.startswith('mmstan.')
    }
    assert registered <= {MODELS.get(cfg['type']) for cfg in CASES.values()}
