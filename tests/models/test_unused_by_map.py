"""A map of a backbone's patches, as detection reads it, and the parameters that it leaves out."""

import re

import pytest
import torch
from helpers.every_backbone import CASES, SIZE, T

from mmstan.models.backbones import VideoBackbone
from mmstan.registry import MODELS


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
