"""DiST models of a few thousand parameters."""

from typing import Any

import torch
from helpers.tiny_models import TOWER, shaken
from torch import Tensor

from mmstan.methods.dist import DiST

FROZEN = dict(TOWER, frozen=True)
NO_INTERACTION = dict(integration_to_temporal=None, temporal_to_integration=None)
VARIANTS: dict[str, dict[str, Any]] = {
    'default': {},
    'c3d': dict(temporal_block='c3d'),
    'tadaconv': dict(temporal_block='tadaconv'),
    'joint': dict(temporal_block='joint'),
    'temporal encoder alone': dict(integration=False, **NO_INTERACTION),
    'integration branch alone': dict(temporal_block=None, **NO_INTERACTION),
    'neither': dict(temporal_block=None, integration=False, **NO_INTERACTION),
    'no interaction': NO_INTERACTION,
    'only to temporal': dict(temporal_to_integration=None),
    'only to integration': dict(integration_to_temporal=None),
    'average pool': dict(temporal_to_integration='avg'),
    'max pool': dict(temporal_to_integration='max'),
    'deconvolution': dict(integration_to_temporal='deconv'),
    'trilinear': dict(integration_to_temporal='trilinear'),
    'four pooling layers': dict(pooling_layers=4),
    'gamma 1': dict(gamma=1),
    'gamma 4': dict(gamma=4),
    'gamma 8': dict(gamma=8),
}
"""The rows of DiST Tables 1a, 1b, 1c, 2a and 2b."""


def make(tower: dict[str, Any] = FROZEN, **options: Any) -> DiST:
    """A DiST for T = 3 whose parameters are random, so that every path counts."""
    sizes = dict(gamma=2, num_frames=3, width=32, temporal_width=8)
    backbone = DiST(tower, **{**sizes, **options})
    shaken(backbone.branch)
    return backbone.eval()


def clip_for(backbone: DiST, n: int = 2, t: int = 3, size: tuple[int, int] = (32, 32)) -> Tensor:
    return torch.randn(n, 3, backbone.gamma * t, *size)
