"""The key map of BT-Adapter's checkpoints: strict, both ways, old names, parts that are dropped."""

import logging
from pathlib import Path

import pytest
import torch
from helpers.scripts import convert
from helpers.tiny_models import TOWER, shaken
from safetensors.torch import save_file
from torch import Tensor

from mmstan.converters.whose_names import name_converter
from mmstan.methods.bt_adapter import checkpoints as bt_adapter
from mmstan.methods.stan import STAN


@pytest.fixture
def ours() -> dict[str, Tensor]:
    backbone = shaken(STAN(TOWER, levels=(2, 3), class_token='own', gates=True))
    return {f'backbone.{name}': tensor for name, tensor in backbone.state_dict().items()}


@pytest.mark.parametrize('prefix', ['backbone.', 'model.vision_tower.', ''])
def test_there_and_back(ours: dict[str, Tensor], prefix: str) -> None:
    released = bt_adapter.to_released(ours, video=prefix)
    assert released[f'{prefix}btadapter_cls_token'].shape == (1, 1, 32)
    gate = ours['backbone.branches.0.output_gate']
    assert torch.equal(released[f'{prefix}balance1'], gate)
    again = bt_adapter.from_released(released)
    assert again.keys() == ours.keys()
    assert all(torch.equal(again[name], ours[name]) for name in ours)


def test_old_names_and_parts_that_are_dropped(
    ours: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    released = bt_adapter.to_released(ours)
    old = {name.replace('btadapter_', 'timesFPN_'): x for name, x in released.items()}
    # The class token is named after the method in both.
    old['backbone.btadapter_cls_token'] = old.pop('backbone.timesFPN_cls_token')
    old['backbone.extra_proj.0.weight'] = old['text_backbone.text_projection.weight'] = old[
        'backbone.balance1'
    ]
    with caplog.at_level(logging.INFO):
        again = bt_adapter.from_released(old)
    assert again.keys() == ours.keys()


@pytest.mark.parametrize('name', ['balance2', 'btadapter_cls_token', 'layers.1.mlp.fc1.bias'])
def test_strict(ours: dict[str, Tensor], name: str) -> None:
    released = bt_adapter.to_released(ours)
    tensor = released.pop(f'backbone.{name}')
    with pytest.raises(ValueError, match=f'1 tensors missing: backbone.{name}'):
        bt_adapter.from_released(released)
    released |= {f'backbone.{name}': tensor, 'backbone.extra': tensor}
    with pytest.raises(ValueError, match=r'1 tensors left over: backbone\.extra'):
        bt_adapter.from_released(released)


def test_an_instruction_tuned_file_is_refused(ours: dict[str, Tensor]) -> None:
    released = bt_adapter.to_released(ours, video='model.vision_tower.')
    tuned = {k: v for k, v in released.items() if '.layers.' not in k or '.layers.2.' in k}
    with pytest.raises(ValueError, match='tower blocks 3 to 3 alone, as instruction-tuned'):
        bt_adapter.from_released(tuned)


def test_the_command_and_the_hint_that_names_it(
    ours: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = bt_adapter.to_released(ours)
    hint = "its names are those of 'bt_adapter': python tools/convert_checkpoint.py bt_adapter in.p"
    assert str(name_converter(released, ours.keys(), 'in.p')).startswith(hint)
    save_file({name: x.contiguous() for name, x in released.items()}, tmp_path / 'in.safetensors')
    convert(monkeypatch, 'bt_adapter', tmp_path / 'in.safetensors', tmp_path / 'out.pth')
    state = torch.load(tmp_path / 'out.pth', weights_only=True)['state_dict']
    assert all(torch.equal(state[name], ours[name]) for name in ours)
