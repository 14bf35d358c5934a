"""The key maps of CLIP4Clip's and DRL's checkpoints: strict, both ways; the tool."""

from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import torch
from helpers.scripts import convert
from helpers.tiny_models import CLIP, TOWER
from torch import Tensor

from mmstan.converters import CONVERTERS, key_map
from mmstan.methods.clip4clip import TubePatches
from mmstan.methods.clip4clip import checkpoints as clip4clip
from mmstan.methods.drl import checkpoints as drl
from mmstan.models import VideoTextModel

WIDTH = CLIP['embed_dim']
NECKS = {
    'meanP': None,
    'seqTransf': dict(type='mmstan.SequenceTransformer', width=WIDTH, heads=2, layers=2),
    'seqLSTM': dict(type='mmstan.SequenceLSTM', width=WIDTH),
}
COSINE = dict(type='mmstan.Cosine')
TABLE = 'frame_position_embeddings.weight'
PATCHES, TUBES = 'clip.visual.conv1.weight', 'clip.visual.conv2.weight'


def state(
    neck: dict[str, Any] | None = None,
    interaction: dict[str, Any] = COSINE,
    backbone: str = 'FrameEncoder',
) -> dict[str, Tensor]:
    """A model's own state dict."""
    model = VideoTextModel(
        backbone=dict(type=f'mmstan.{backbone}', tower=TOWER),
        text_tower=dict(type='mmstan.TextTower', model=CLIP),
        neck=neck,
        head=dict(type='mmstan.RetrievalHead', interaction=interaction, trainable_scale=True),
    )
    return model.state_dict()


def assert_there_and_back(converter: ModuleType, ours: dict[str, Tensor]) -> dict[str, Tensor]:
    released = converter.to_released(ours)
    again = converter.from_released(released)
    assert again.keys() == ours.keys()
    assert all(torch.equal(again[name], ours[name]) for name in ours)
    assert len(released) == len(ours)
    return released


@pytest.mark.parametrize('neck', NECKS)
@pytest.mark.parametrize('converter', [clip4clip, drl], ids=['clip4clip', 'drl'])
def test_necks_there_and_back(converter: ModuleType, neck: str) -> None:
    released = assert_there_and_back(converter, state(NECKS[neck]))
    assert {name.split('.')[0] for name in released} == {
        'meanP': {'clip'},
        'seqTransf': {'clip', 'transformerClip', 'frame_position_embeddings'},
        'seqLSTM': {'clip', 'lstm_visual'},
    }[neck]


@pytest.mark.parametrize(
    ('layers', 'names'),
    [(1, ['weight']), (2, ['0.weight', '2.weight']), (3, ['0.weight', '2.weight', '4.weight'])],
)
def test_weight_networks_there_and_back(layers: int, names: list[str]) -> None:
    ours = state(interaction=dict(type='mmstan.WeightedTokenWise', dim=WIDTH, layers=layers))
    released = assert_there_and_back(drl, ours)
    for side in ('text', 'video'):
        prefix = f'{side}_weight_fc.'
        found = [name.removeprefix(prefix) for name in released if name.startswith(prefix)]
        assert [name for name in found if name.endswith('weight')] == names


def test_token_wise_has_no_weights() -> None:
    assert_there_and_back(drl, state(interaction=dict(type='mmstan.TokenWise')))


@pytest.mark.parametrize('neck', NECKS)
def test_patches_over_three_frames_there_and_back(neck: str) -> None:
    ours = state(NECKS[neck], backbone='TubePatches')
    shapes = {name: tensor.shape for name, tensor in ours.items()}
    ours |= {name: torch.randn(shapes[name]) for name in ours if 'backbone.' in name}
    released = clip4clip.to_released(ours)
    again = clip4clip.from_released(released)
    assert again.keys() == ours.keys()
    assert all(torch.equal(again[name], ours[name]) for name in ours)
    # Three slices as one kernel, beside the patches of one frame, which nothing reads.
    assert {name for name in released if '.conv' in name} == {PATCHES, TUBES}
    released[PATCHES] = torch.zeros_like(released[PATCHES])
    with mock.patch.object(key_map, 'print_log') as log:
        again = clip4clip.from_released(released)
    assert all(torch.equal(again[name], ours[name]) for name in ours)
    said = f'1 tensor dropped, the middle frame of {TUBES} takes its place: {PATCHES}'
    assert log.call_args_list[-1].args[0] == said


@torch.no_grad()
def test_patches_over_three_frames_are_the_released_convolution() -> None:
    released = clip4clip.to_released(state(backbone='TubePatches'))
    released[TUBES] = torch.randn_like(released[TUBES])
    converted = clip4clip.from_released(released)
    backbone = TubePatches(TOWER).eval()
    backbone.load_state_dict(
        {k.removeprefix('backbone.'): v for k, v in converted.items() if k.startswith('backbone.')}
    )
    video = torch.randn(2, 3, 4, 32, 32)
    x = torch.nn.functional.conv3d(video, released[TUBES], stride=(1, 8, 8), padding=(1, 0, 0))
    patches = x.permute(0, 2, 3, 4, 1).flatten(0, 1).flatten(1, 2)  # (N*T, L, C)
    tower = backbone.tower.visual
    x = tower.ln_pre(patches + released['clip.visual.positional_embedding'][1:])
    torch.testing.assert_close(backbone.embed(video)[:, 1:], x, rtol=1e-4, atol=1e-4)


def test_patches_over_three_frames_are_strict() -> None:
    ours = state(backbone='TubePatches')
    released = clip4clip.to_released(ours)
    name = 'clip.visual.ln_pre.bias'
    with pytest.raises(ValueError, match=f'^1 tensors missing: {name}$'):
        clip4clip.from_released({k: v for k, v in released.items() if k != name})
    del ours['backbone.after.weight']
    with pytest.raises(ValueError, match=r'^1 tensors missing: backbone\.after\.weight$'):
        clip4clip.to_released(ours)
    with pytest.raises(ValueError, match=f'^1 tensors left over: {TUBES}$'):
        drl.from_released(released)  # not in its map


def test_towers_keep_their_tensors() -> None:
    ours = state()
    released = clip4clip.to_released(ours)
    for theirs, name in {
        'clip.visual.proj': 'backbone.tower.visual.proj',
        'clip.text_projection': 'text_tower.text.text_projection',
        'clip.logit_scale': 'head.logit_scale',
        'clip.transformer.resblocks.1.ln_2.bias': (
            'text_tower.text.transformer.resblocks.1.ln_2.bias'
        ),
    }.items():
        assert torch.equal(released[theirs], ours[name])


def test_text_tower_elsewhere() -> None:
    released = clip4clip.to_released(state())
    converted = clip4clip.from_released(released, text_tower='cls_head.texts.tower.')
    assert 'cls_head.texts.tower.text.token_embedding.weight' in converted


@pytest.mark.parametrize('converter', [clip4clip, drl], ids=['clip4clip', 'drl'])
def test_table_that_lstm_does_not_read(converter: ModuleType) -> None:
    """Dropped with the LSTM, read with the transformer, left over with neither."""
    table = {TABLE: torch.zeros(77, WIDTH)}
    ours = state(NECKS['seqLSTM'])
    assert converter.from_released(converter.to_released(ours) | table).keys() == ours.keys()
    with pytest.raises(ValueError, match=f'1 tensors left over: {TABLE}'):
        converter.from_released(converter.to_released(state()) | table)


@pytest.mark.parametrize(
    'name',
    [
        'clip.visual.class_embedding',
        'clip.logit_scale',
        'clip.positional_embedding',
        'clip.visual.transformer.resblocks.1.attn.in_proj_bias',
        'clip.transformer.resblocks.0.mlp.c_fc.weight',
        'transformerClip.resblocks.1.ln_1.weight',
        TABLE,
        'text_weight_fc.2.bias',
        'video_weight_fc.0.weight',
    ],
)
def test_strict(name: str) -> None:
    interaction = dict(type='mmstan.WeightedTokenWise', dim=WIDTH, layers=2)
    released = drl.to_released(state(NECKS['seqTransf'], interaction))
    tensor = released.pop(name)
    with pytest.raises(ValueError, match=f'1 tensors missing: {name}'):
        drl.from_released(released)
    released |= {name: tensor, 'cross.pooler.ln_pool.weight': tensor}
    with pytest.raises(ValueError, match=r'1 tensors left over: cross\.pooler\.ln_pool\.weight'):
        drl.from_released(released)


def test_clip4clip_has_no_weight_networks() -> None:
    released = drl.to_released(state(interaction=dict(type='mmstan.WeightedTokenWise', dim=WIDTH)))
    with pytest.raises(ValueError, match=r'8 tensors left over: text_weight_fc\.0\.bias'):
        clip4clip.from_released(released)


def test_whole_network_of_one_side_missing() -> None:
    interaction = dict(type='mmstan.WeightedTokenWise', dim=WIDTH, layers=1)
    released = drl.to_released(state(interaction=interaction))
    released = {k: v for k, v in released.items() if not k.startswith('text_weight_fc')}
    with pytest.raises(ValueError, match=r'2 tensors missing: text_weight_fc\.bias'):
        drl.from_released(released)


@pytest.mark.parametrize('system', ['clip4clip', 'drl'])
def test_tool(system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain state dict in half precision, named as the released files are."""
    ours = state(NECKS['seqTransf'])
    released = CONVERTERS[system].to_released(ours)
    source, target = tmp_path / 'pytorch_model.bin.4', tmp_path / 'ours.pth'
    torch.save({name: tensor.half() for name, tensor in released.items()}, source)
    convert(monkeypatch, system, source, target)
    converted = torch.load(target, weights_only=True)['state_dict']
    assert converted.keys() == ours.keys()
    assert all(torch.equal(converted[name], ours[name].half()) for name in ours)
