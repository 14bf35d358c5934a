"""The engine's own tower, cut at its feature layer, with the layers of a branch up to there."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_chat import VISION, make_branch, save_branch
from mmengine.logging import MMLogger
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModel

from mmstan.chat.branch_file import read_branch
from mmstan.chat.video_tower import frame_tower, video_tower
from mmstan.methods.bt_adapter import checkpoints as bt_adapter
from mmstan.methods.stan import STAN

CONFIG = CLIPVisionConfig(**VISION)


@pytest.fixture(scope='module')
def tower() -> CLIPVisionModel:
    torch.manual_seed(0)
    model = CLIPVisionModel(CONFIG).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def with_tower_of(backbone: STAN, tower: CLIPVisionModel, layer: int) -> STAN:
    """The backbone's branch next to the whole tower of the engine."""
    whole = video_tower(
        CONFIG, tower.state_dict(), branch=backbone.state_dict(), feature_layer=layer
    )
    return whole.eval()


@pytest.mark.parametrize('layer', [-1, -2, -3, 3])
def test_tokens_are_the_hidden_states(tower: CLIPVisionModel, layer: int) -> None:
    clip = torch.randn(2, 3, 3, 32, 32)
    images = clip.transpose(1, 2).flatten(0, 1)
    with torch.no_grad():
        hidden = tower(images, output_hidden_states=True).hidden_states[layer]
        wanted = hidden.unflatten(0, (2, 3))
        alone = frame_tower(CONFIG, tower.state_dict(), feature_layer=layer).tokens(clip)
        ours, branch = with_tower_of(make_branch(), tower, layer).parts(clip)
    assert len(wanted[0, 0]) == 17
    for found in (alone, ours):
        torch.testing.assert_close(found, wanted, atol=1e-5 * wanted.abs().max().item(), rtol=0)
    assert branch.shape == ours.shape


def test_the_cut_branch_is_the_whole_one_at_that_level(tower: CLIPVisionModel) -> None:
    backbone, clip = make_branch(class_token='own', gates=True), torch.randn(1, 3, 4, 32, 32)
    whole, cut = (with_tower_of(backbone, tower, layer) for layer in (-1, -2))
    assert (len(whole.branches[0].layers), len(cut.branches[0].layers)) == (3, 2)
    assert (len(whole.tower.blocks), len(cut.tower.blocks)) == (4, 3)
    assert cut.tower.visual.proj is None
    levels = {}
    layer = whole.branches[0].layers[1]
    layer.register_forward_hook(lambda module, args, out: levels.update(two=out))
    with torch.no_grad():
        whole.parts(clip)
        branch = cut.parts(clip)[1]
    torch.testing.assert_close(branch[:, :, 1:], levels['two'].patches)
    torch.testing.assert_close(branch[:, :1, 0], levels['two'].cls)


@pytest.mark.parametrize('options', [dict(networks=2), dict(class_token='own', gates=True)])
def test_structure_is_read_from_the_names(
    tower: CLIPVisionModel, options: dict[str, Any], tmp_path: Path
) -> None:
    backbone = make_branch(**options, max_frames=9)
    state = read_branch(save_branch(tmp_path / 'a.pth', backbone))
    found = video_tower(CONFIG, tower.state_dict(), branch=state, feature_layer=-1)
    own = dict(found.branches.named_parameters())
    assert own.keys() == dict(backbone.branches.named_parameters()).keys()
    assert all(torch.equal(own[n], p) for n, p in backbone.branches.named_parameters())
    assert found.branches[0].times(9).shape == (9, 64)


def test_levels_of_an_interval(tower: CLIPVisionModel) -> None:
    state = make_branch(layers=2).state_dict()
    found = video_tower(CONFIG, tower.state_dict(), branch=state, levels=(1, 3))
    assert found.levels == (1, 3)
    with pytest.raises(ValueError, match='3 levels, but the branch has 2 layers'):
        video_tower(CONFIG, tower.state_dict(), branch=state, levels=(1, 2, 3))


def refuse(tower: CLIPVisionModel, state: dict[str, Tensor], message: str, **options: Any) -> None:
    with pytest.raises(ValueError, match=message):
        video_tower(CONFIG, tower.state_dict(), branch=state, **options)


def test_names_missing_and_left_over(tower: CLIPVisionModel) -> None:
    state = make_branch().state_dict()
    tensor = state.pop('branches.0.layers.1.cross_frame.norm.bias')
    refuse(tower, state, r'1 missing: branches\.0\.layers\.1\.cross_frame\.norm\.bias')
    state |= {'branches.0.layers.1.cross_frame.norm.bias': tensor, 'branches.0.more': tensor}
    refuse(tower, state, r'1 left over: branches\.0\.more')
    refuse(
        tower, make_branch(own_positions=True).state_dict(), r'left over: branches\.0\.positions'
    )
    state = {k: v for k, v in state.items() if 'time_embedding' not in k}
    refuse(tower, state, r'no branches\.0\.time_embedding')


def test_widths_and_numbers_of_layers(tower: CLIPVisionModel) -> None:
    state = make_branch().state_dict()
    narrow = {**state, 'branches.0.time_embedding': torch.zeros(64, 48)}
    refuse(tower, narrow, "the branch is of width 48, the engine's tower of width 64")
    deep = {**state, 'tower.visual.transformer.resblocks.11.ln_1.bias': torch.zeros(64)}
    refuse(tower, deep, "own tower has 12 blocks, the engine's 4")
    many = {**state, 'branches.0.layers.6.block.ln_1.bias': torch.zeros(64)}
    refuse(tower, many, 'the branch has 7 layers, the tower only 4 blocks')
    refuse(tower, state, 'no layer of the branch is left', feature_layer=1)


def test_another_activation_or_norm(tower: CLIPVisionModel) -> None:
    for changed in (dict(hidden_act='relu'), dict(layer_norm_eps=1e-6)):
        config = CLIPVisionConfig(**{**VISION, **changed})
        with pytest.raises(ValueError, match="'quick_gelu' or 'gelu' and 1e-05"):
            frame_tower(config, tower.state_dict())


def test_a_tower_that_is_offloaded(tower: CLIPVisionModel) -> None:
    meta = {name: tensor.to('meta') for name, tensor in tower.state_dict().items()}
    with pytest.raises(ValueError, match='device_map has offloaded it'):
        frame_tower(CONFIG, meta)


def test_another_tower_or_another_grid_is_told(
    tower: CLIPVisionModel, capsys: pytest.CaptureFixture[str]
) -> None:
    MMLogger.get_instance('chat', log_level='INFO')
    state = make_branch().state_dict()
    video_tower(CONFIG, tower.state_dict(), branch=state)
    said = ''.join(capsys.readouterr())
    assert 'WARNING' in said
    assert 'was trained next to another tower' in said
    state |= frame_tower(CONFIG, tower.state_dict(), feature_layer=-1).state_dict()
    video_tower(CONFIG, tower.state_dict(), branch=state)
    said = ''.join(capsys.readouterr())
    assert 'differ by 0.0e+00' in said
    assert 'WARNING' not in said
    half = {name: x.bfloat16() for name, x in tower.state_dict().items()}
    video_tower(CONFIG, half, branch=state)  # rounded, the same tower
    said = ''.join(capsys.readouterr())
    assert 'WARNING' not in said
    assert "the branch is taken to read the tower's last blocks" in said
    state['tower.visual.positional_embedding'] = torch.zeros(50, 64)
    video_tower(CONFIG, tower.state_dict(), branch=state)
    said = ''.join(capsys.readouterr())
    assert said.count('trained on 49 patches a frame, the engine has 16 (32 pixels)') == 1


def test_files_without_a_branch(tmp_path: Path) -> None:
    backbone = make_branch()
    only_tower = {k: v for k, v in backbone.state_dict().items() if k.startswith('tower.')}
    torch.save({'state_dict': {f'backbone.{k}': v for k, v in only_tower.items()}}, tmp_path / 'a')
    with pytest.raises(ValueError, match=r'no weights of a branch .* backbone\.tower\.visual\.'):
        read_branch(tmp_path / 'a')
    ours = make_branch(class_token='own', gates=True).state_dict()
    released = bt_adapter.to_released({f'backbone.{k}': v for k, v in ours.items()})
    torch.save(released, tmp_path / 'b.pth')
    with pytest.raises(ValueError, match=r'convert_checkpoint\.py bt_adapter .*b\.pth OUT\.pth'):
        read_branch(tmp_path / 'b.pth')
    torch.save(backbone.state_dict(), tmp_path / 'c.pth')  # a backbone alone
    assert read_branch(tmp_path / 'c.pth').keys() == backbone.state_dict().keys()
