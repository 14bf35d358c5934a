"""A checkpoint of released names is told what converts it."""

from collections.abc import Collection
from typing import Any

import pytest
import torch
from helpers.tiny_models import CLIP, COCA, TOWER, reference
from torch import Tensor

import mmstan.methods  # noqa: F401  (registers the systems)
from mmstan.converters import CONVERTERS
from mmstan.converters.whose_names import name_converter
from mmstan.methods.dist import DiST
from mmstan.methods.evl import EVL
from mmstan.methods.stan import STAN
from mmstan.models import FrameEncoder, TextTower


def named(**parts: torch.nn.Module) -> dict[str, Tensor]:
    return {
        f'{prefix.replace("__", ".")}.{name}': tensor
        for prefix, part in parts.items()
        for name, tensor in part.state_dict().items()
    }


def encoders() -> dict[str, Tensor]:
    return named(backbone=FrameEncoder(TOWER), text_tower=TextTower(CLIP))


OURS = {
    'stan': lambda: named(backbone=STAN(TOWER, levels=(2, 3)), text_tower=TextTower(CLIP)),
    'dist': lambda: named(
        backbone=DiST(dict(TOWER, frozen=True), num_frames=2, width=32, temporal_width=16),
        cls_head__texts__tower=TextTower(CLIP),
    ),
    'evl': lambda: {
        **named(backbone=EVL(TOWER, image_size=32, num_frames=2, layers=2)),
        'cls_head.fc_cls.weight': torch.ones(3, 32),
        'cls_head.fc_cls.bias': torch.ones(3),
    },
    'clip4clip': lambda: {**encoders(), 'head.logit_scale': torch.tensor(4.6)},
}
"""System -> the state dict of one of our models."""


@pytest.mark.parametrize('system', OURS)
def test_names_of_every_system_are_known(system: str) -> None:
    ours = OURS[system]()
    released = CONVERTERS[system].to_released(ours)
    told = name_converter(released, ours.keys(), 'in.pth')
    assert told is not None
    assert told.startswith(f"its names are those of '{system}': ")
    assert f'python tools/convert_checkpoint.py {system} in.pth OUT.pth' in told


def test_the_text_tower_s_place_is_told() -> None:
    ours = OURS['stan']()
    released = CONVERTERS['stan'].to_released(ours)
    assert '--text-tower' not in str(name_converter(released, ours.keys(), 'in.pth'))
    head = [name.replace('text_tower.', 'cls_head.texts.tower.') for name in ours]
    command = 'stan in.pth OUT.pth --text-tower cls_head.texts.tower. converts it'
    assert command in str(name_converter(released, head, 'in.pth'))


@pytest.mark.parametrize('there', [True, False])
def test_our_own_two_forms(there: bool) -> None:
    retrieval = {**encoders(), 'head.logit_scale': torch.tensor(4.6)}
    recognition = CONVERTERS['recognition'].from_released(retrieval)
    theirs, own = (retrieval, recognition) if there else (recognition, retrieval)
    told = name_converter(theirs, own.keys(), 'in.pth')
    end = '' if there else ' --reverse'
    assert f'convert_checkpoint.py recognition in.pth OUT.pth{end} converts it' in str(told)


@pytest.mark.parametrize('sizes', [CLIP, COCA])
def test_weights_of_an_image_language_model(sizes: dict[str, Any]) -> None:
    told = name_converter(reference(sizes).state_dict(), encoders().keys(), 'in.pth')
    assert str(told).endswith("give the file as pretrained='in.pth' of the towers")


@pytest.mark.parametrize('names', [['a', 'b'], ['backbone.conv1.weight', 'fc.bias']])
def test_unknown_names(names: Collection[str]) -> None:
    assert name_converter({name: torch.ones(2) for name in names}, encoders(), 'in.pth') is None


def test_a_model_s_own_names_need_no_converter() -> None:
    ours = OURS['stan']()
    first = next(iter(ours))
    part = {name: value for name, value in ours.items() if name != first}
    assert name_converter(part, ours.keys(), 'in.pth') is None


def test_values_that_are_no_tensors() -> None:
    assert name_converter({'backbone.a': [1], 'text_backbone.b': None}, ['x'], 'in.pth') is None
