from typing import Any

import pytest
import torch
from helpers.every_backbone import BACKBONES, T
from helpers.tiny_models import CLIP, TOWER, VIT_TOWER, shaken
from mmaction.registry import MODELS
from torch import nn

from mmstan.visualization import collect_layer_tokens, group_layers, keep_same_frames

FROZEN = dict(TOWER, frozen=True)
SIZES = dict(gamma=2, num_frames=4, width=32, temporal_width=16)
DIST = dict(type='mmstan.DiST', tower=FROZEN, **SIZES)
STAN = dict(type='mmstan.STAN', tower=TOWER, levels=(3, 4))
EVL = dict(type='mmstan.EVL', tower=FROZEN, layers=2, num_frames=8, image_size=32)
FRAMES = dict(type='mmstan.FrameEncoder', tower=TOWER)
DEPTH = CLIP['vision_cfg']['layers']
VIDEO = torch.randn(2, 3, 8, 32, 48)  # 4 x 6 patches


def build(cfg: dict[str, Any]) -> Any:
    return shaken(MODELS.build(cfg)).eval()


@pytest.mark.parametrize(
    ('cfg', 'shapes'),
    [
        (FRAMES, {'tower': (DEPTH, 8, 32), 'output': (1, 8, 32)}),
        (STAN, {'tower': (DEPTH, 8, 32), 'branch': (2, 8, 32), 'output': (1, 8, 32)}),
        (
            DIST,
            {
                'tower': (DEPTH, 4, 32),
                'temporal encoder': (DEPTH, 8, 16),
                'integration branch': (DEPTH, 4, 32),
                'output': (1, 4, 32),
            },
        ),
    ],
    ids=lambda value: value.get('type', ''),
)
def test_layers_of_every_backbone(
    cfg: dict[str, Any], shapes: dict[str, tuple[int, int, int]]
) -> None:
    backbone = build(cfg)
    tokens = collect_layer_tokens(backbone, VIDEO, group_layers(backbone))
    found = {name: (len(layers), *layers[0].shape) for name, layers in tokens.items()}
    assert found == {name: (n, 2, t, 24, c) for name, (n, t, c) in shapes.items()}
    torch.testing.assert_close(tokens['output'][0], backbone.tokens(VIDEO)[:, :, 1:])
    cut = keep_same_frames(tokens)
    fewest = min(t for _, t, _ in shapes.values())
    assert {x.shape[1] for layers in cut.values() for x in layers} == {fewest}


@pytest.mark.parametrize('tower', [TOWER, VIT_TOWER], ids=['clip', 'vit'])
@pytest.mark.parametrize('name', BACKBONES)
def test_blocks_whose_halves_are_called_are_shown(name: str, tower: dict[str, Any]) -> None:
    backbone = build(dict(BACKBONES[name], tower=tower))
    clip = VIDEO[:, :, :T, :, :32]
    groups = group_layers(backbone, {'first': r'tower\..*\.0'} if tower is TOWER else None)
    tokens = collect_layer_tokens(backbone, clip, groups)
    blocks = tokens['tower']
    assert len(blocks) == DEPTH and not torch.equal(blocks[0], blocks[1])
    if tower is TOWER:
        assert torch.equal(tokens['first'][0], blocks[0])
    if 'branch' not in tokens:
        torch.testing.assert_close(blocks[-1], tokens['output'][0])
    assert hooks(backbone) == 0
    assert not any('feed_forward' in vars(block) for block in backbone.tower.blocks)


@torch.no_grad()
def test_layers_are_in_order_and_patches_in_place() -> None:
    backbone = build(FRAMES)
    layers = collect_layer_tokens(backbone, VIDEO, group_layers(backbone))['tower']
    x = backbone.tower.embed(VIDEO.transpose(1, 2).flatten(0, 1))
    for block, found in zip(backbone.tower.blocks, layers):
        x = block(x)
        torch.testing.assert_close(found[1, 3], x[8 + 3, 1:])


@torch.no_grad()
def test_temporal_encoder() -> None:
    """Its first block needs nothing but the stem: frame by frame, row by row."""
    backbone = build(DIST)
    first = collect_layer_tokens(backbone, VIDEO, group_layers(backbone))['temporal encoder'][0]
    z = backbone.branch.layers[0].temporal_block(backbone.branch.start(VIDEO))  # (N, d, T, h, w)
    torch.testing.assert_close(first[1, 5, 2 * 6 + 3], z[1, :, 5, 2, 3])
    kept = keep_same_frames({'a': [first], 'b': [first[:, ::2]]})
    torch.testing.assert_close(kept['a'][0], kept['b'][0])


@torch.no_grad()
def test_the_decoder_of_evl_shows_the_tokens_that_it_attends_to() -> None:
    backbone, clip = build(EVL), VIDEO[..., :32]
    tokens = collect_layer_tokens(backbone, clip, group_layers(backbone))
    assert {name: len(x) for name, x in tokens.items()} == {
        'tower': DEPTH,
        'decoder': 2,
        'output': 1,
    }
    torch.testing.assert_close(tokens['output'][0], backbone.tokens(clip)[:, :, 1:])
    for own, read in zip(tokens['decoder'], tokens['tower'][-2:]):
        assert own.shape == read.shape and not torch.equal(own, read)


def test_layers_that_are_not_run_are_not_left_out_in_silence() -> None:
    backbone = build(FRAMES)
    groups = group_layers(backbone, {'norm': r'tower\.visual\.ln_post', 'idle': r'tower\.visual'})
    for name in ('idle', 'tower'):
        with pytest.raises(ValueError, match=f'--layers {name}: no such module of FrameEncoder is'):
            collect_layer_tokens(backbone, VIDEO, {name: groups['idle']})


def test_switched_off_parts_are_left_out() -> None:
    off = dict(integration_to_temporal=None, temporal_to_integration=None)
    backbone = build(dict(DIST, temporal_block=None, **off))
    assert list(group_layers(backbone)) == ['tower', 'integration branch']


def test_other_layers_by_name() -> None:
    backbone = build(FRAMES)
    groups = group_layers(backbone, {'norms': r'tower\.visual\.transformer\.resblocks\.\d\.ln_1'})
    tokens = collect_layer_tokens(backbone, VIDEO, groups)
    assert [x.shape for x in tokens['norms']] == [(2, 8, 24, 32)] * DEPTH
    for name, pattern, problem in (
        ('x', 'nothing', '^x=nothing: no module of FrameEncoder has such a name'),
        ('x', '(', r'^x=\(: no regular expression, missing \)'),
        ('output', '.*', "^output=.*'output' is the backbone's own; rename it"),
    ):
        with pytest.raises(ValueError, match=problem):
            group_layers(backbone, {name: pattern})
    assert group_layers(backbone, {'tower': r'tower\.visual\.ln_pre'})['tower'] == [
        backbone.tower.visual.ln_pre
    ]


def hooks(backbone: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in backbone.modules())


def test_nothing_is_left_behind() -> None:
    backbone = build(FRAMES)
    collect_layer_tokens(backbone, VIDEO, group_layers(backbone))
    groups = group_layers(backbone, {'stem': r'tower\.visual\.ln_post|tower\.visual\.conv1'})
    with pytest.raises(ValueError, match=r'a layer gives \(16, 32, 4, 6\), which are no tokens'):
        collect_layer_tokens(backbone, VIDEO, groups)
    assert hooks(backbone) == 0


def test_frames_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r'layers see \[4, 6\] frames'):
        keep_same_frames({'a': [torch.zeros(1, 6, 4, 2)], 'b': [torch.zeros(1, 4, 4, 2)]})
