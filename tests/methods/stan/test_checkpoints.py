"""The key map of STAN's checkpoints: strict, both ways, old names included; the tool."""

import pickle
from pathlib import Path

import pytest
import torch
from helpers.scripts import convert
from helpers.tiny_models import CLIP, TOWER
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmstan.methods.stan import STAN
from mmstan.methods.stan import checkpoints as stan
from mmstan.models import TextTower


@pytest.fixture
def ours() -> dict[str, Tensor]:
    backbone, text = STAN(TOWER, levels=(2, 3)), TextTower(CLIP)
    return {f'backbone.{k}': v for k, v in backbone.state_dict().items()} | {
        f'text_tower.{k}': v for k, v in text.state_dict().items()
    }


def test_there_and_back(ours: dict[str, Tensor]) -> None:
    released = stan.to_released(ours)
    again = stan.from_released(released)
    assert again.keys() == ours.keys()
    assert all(torch.equal(again[name], ours[name]) for name in ours)
    q, k, v = (released[f'backbone.STAN_T_layers.1.self_attn.{p}_proj.weight'] for p in 'qkv')
    stacked = ours['backbone.branches.0.layers.1.cross_frame.attn.in_proj_weight']
    assert torch.equal(torch.cat([q, k, v]), stacked)
    assert torch.equal(
        released['backbone.visual_projection.weight'].T, ours['backbone.tower.visual.proj']
    )


def test_old_prefixes_position_ids_and_video_alone(ours: dict[str, Tensor]) -> None:
    released = stan.to_released(ours)
    old = {name.replace('.STAN_', '.timesFPN_'): tensor for name, tensor in released.items()}
    old['text_backbone.text_model.embeddings.position_ids'] = torch.arange(12)[None]
    assert stan.from_released(old).keys() == ours.keys()
    video = {name: tensor for name, tensor in released.items() if name.startswith('backbone.')}
    assert stan.from_released(video).keys() == {k for k in ours if k.startswith('backbone.')}


def test_recognition_prefix(ours: dict[str, Tensor]) -> None:
    converted = stan.from_released(stan.to_released(ours), text_tower='cls_head.texts.tower.')
    assert 'cls_head.texts.tower.text.token_embedding.weight' in converted


@pytest.mark.parametrize(
    'name',
    [
        'backbone.class_embedding',
        'backbone.STAN_S_layers.1.mlp.fc1.weight',
        'backbone.layers.0.self_attn.k_proj.bias',
        'text_backbone.text_projection.weight',
    ],
)
def test_strict(ours: dict[str, Tensor], name: str) -> None:
    released = stan.to_released(ours)
    tensor = released.pop(name)
    with pytest.raises(ValueError, match=f'1 tensors missing: {name}'):
        stan.from_released(released)
    released |= {name: tensor, 'backbone.extra': tensor}
    with pytest.raises(ValueError, match=r'1 tensors left over: backbone\.extra'):
        stan.from_released(released)


class _Attack:
    def __reduce__(self) -> tuple:
        return (print, ('this ran',))


def test_tool(
    ours: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    released, converted = tmp_path / 'released.safetensors', tmp_path / 'ours.pth'
    save_file({k: v.contiguous() for k, v in stan.to_released(ours).items()}, released)
    convert(monkeypatch, 'stan', released, converted)
    state = torch.load(converted, weights_only=True)['state_dict']
    assert all(torch.equal(state[name], ours[name]) for name in ours)
    back = tmp_path / 'back.safetensors'
    convert(monkeypatch, 'stan', converted, back, '--reverse')
    assert load_file(back).keys() == load_file(released).keys()

    evil = tmp_path / 'evil.pth'
    evil.write_bytes(pickle.dumps({'state_dict': _Attack()}))
    with pytest.raises(SystemExit, match=r'^error: .*evil\.pth'):
        convert(monkeypatch, 'stan', evil, tmp_path / 'out.pth')
    assert 'this ran' not in ''.join(capsys.readouterr())
