"""DiST: its variants, its interactions, its times, what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.dist_models import FROZEN, NO_INTERACTION, VARIANTS, clip_for, make
from helpers.tiny_models import CLIP, COCA_TOWER, VIT_TOWER
from mmengine.runner import load_checkpoint

from mmstan.engine.param_groups import decays
from mmstan.methods.dist import DiST
from mmstan.models import FrameEncoder

TOWERS = {
    'clip': FROZEN,
    'coca': dict(COCA_TOWER, frozen=True),
    'vit': dict(VIT_TOWER, frozen=True),
}


@pytest.mark.parametrize('options', VARIANTS.values(), ids=VARIANTS)
def test_variants(options: dict[str, Any]) -> None:
    dist = make(**options).train()
    video = clip_for(dist)
    features = dist(video)
    assert features.shape == (2, dist.out_dim)
    features.square().sum().backward()
    trained = {name for name, p in dist.branch.named_parameters() if p.requires_grad}
    assert trained == {
        name for name, p in dist.branch.named_parameters() if p.grad is not None and p.grad.any()
    }
    # What the last layer would give to the temporal encoder has no reader.
    unread = {k for k, _ in dist.branch.named_parameters() if k.startswith('layers.3.to_temporal')}
    assert trained | unread == dict(dist.branch.named_parameters()).keys()
    again = DiST(FROZEN, **{**dict(gamma=2, num_frames=3, width=32, temporal_width=8), **options})
    again.load_state_dict(dist.state_dict())
    torch.testing.assert_close(again.eval()(video), dist.eval()(video))


@pytest.mark.parametrize('tower', TOWERS.values(), ids=TOWERS)
@pytest.mark.parametrize('size', [(32, 32), (32, 48)])
def test_towers_and_image_sizes(tower: dict[str, Any], size: tuple[int, int]) -> None:
    dist = make(tower, frame_features=True)
    video = clip_for(dist, size=size)
    with torch.no_grad():
        feature, frames = dist(video)
        assert feature.shape == (2, dist.out_dim)
        assert dist.tokens(video).shape == (2, 3, 1 + size[0] * size[1] // 64, 32)
        encoder = FrameEncoder(tower).eval()
        encoder.tower.load_state_dict(dist.tower.state_dict())
        torch.testing.assert_close(frames, encoder(video[:, :, ::2]), atol=1e-5, rtol=1e-5)


def with_other_frame(video: torch.Tensor, frame: int) -> torch.Tensor:
    video = video.clone()
    video[:, :, frame].normal_()
    return video


@pytest.mark.parametrize(
    ('options', 'feature_changes', 'tokens_change'),
    [
        ('default', True, True),
        ('integration branch alone', False, False),
        ('neither', False, False),
        ('temporal encoder alone', True, False),
        ('no interaction', True, False),
        ('only to temporal', True, False),
        ('only to integration', True, True),
    ],
)
def test_who_sees_the_frames_between(
    options: str, feature_changes: bool, tokens_change: bool
) -> None:
    """Frame 3 of 6 is one that the tower skips: it goes through the temporal encoder alone."""
    dist = make(**VARIANTS[options])
    video = clip_for(dist)
    other = with_other_frame(video, 3)
    with torch.no_grad():
        assert torch.equal(dist(video), dist(other)) != feature_changes
        assert torch.equal(dist.tokens(video), dist.tokens(other)) != tokens_change


@pytest.mark.parametrize('reaches', [True, False])
def test_integrated_features_reach_the_temporal_encoder(reaches: bool) -> None:
    """The last temporal block sees other class embeddings of the tower, or does not."""
    dist = make(integration_to_temporal='nearest' if reaches else None)
    seen: list[torch.Tensor] = []
    dist.branch.layers[3].temporal_block.register_forward_hook(lambda *args: seen.append(args[2]))
    video = clip_for(dist)
    with torch.no_grad():
        dist(video)
        dist.tower.visual.conv1.weight.normal_()
        dist(video)
    assert torch.equal(*seen) != reaches


def test_clips_of_a_batch_do_not_meet() -> None:
    for options in ({}, dict(temporal_block='tadaconv'), dict(temporal_block='joint')):
        dist = make(**options)
        video = clip_for(dist, 3)
        with torch.no_grad():
            alone = torch.cat([dist(one[None]) for one in video])
            torch.testing.assert_close(dist(video), alone, atol=1e-5, rtol=1e-5)


def time_tables(dist: DiST) -> dict[str, torch.Tensor]:
    return {k: p for k, p in dist.named_parameters() if k.endswith('.embedding')}


def test_clips_of_other_lengths() -> None:
    with pytest.raises(ValueError, match=r'5 sparse frames, but num_frames=3.*time_interpolation'):
        make()(clip_for(make(), t=5))
    dist = make(time_interpolation='linear')
    assert dist(clip_for(dist, t=5)).shape == (2, 16)
    no_tables = make(integration=False, **NO_INTERACTION)
    assert no_tables(clip_for(no_tables, t=5)).shape == (2, 16)


def test_checkpoints_of_other_lengths(tmp_path: Path) -> None:
    source = make(num_frames=3)
    assert len(time_tables(source)) == 4 + 2  # class tokens a layer, positions a pooling block
    with pytest.raises(ValueError, match=r'class_tokens\.embedding .* 3 frames, but num_frames=6'):
        make(num_frames=6).load_state_dict(source.state_dict())
    torch.save(source.state_dict(), tmp_path / 'three.pth')
    target = make(num_frames=6, time_interpolation='linear')
    load_checkpoint(target, str(tmp_path / 'three.pth'), strict=True)
    for name, table in time_tables(source).items():
        stretched = F.interpolate(table.T[None], 6, mode='linear', align_corners=False)[0].T
        assert torch.equal(time_tables(target)[name], stretched)
    runs_at_six = make(time_interpolation='linear')
    runs_at_six.load_state_dict(source.state_dict())
    video = clip_for(target, t=6)
    torch.testing.assert_close(target(video), runs_at_six(video))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(tower=dict(FROZEN, frozen=False)), 'frozen=True'),
        (dict(gamma=0), 'gamma=0: at least 1'),
        (dict(num_frames=0), 'num_frames=0: at least 1'),
        (dict(pooling_layers=0), 'pooling_layers=0: at least 1'),
        (dict(width=30), 'width=30: a multiple of 4'),
        (dict(temporal_width=6), 'temporal_width=6: a multiple of 4'),
        (dict(width=196), 'width 196 does not divide into 3 heads'),
        (dict(temporal_block='r3d'), "temporal_block='r3d' must be one of 'r2plus1d'"),
        (dict(integration_to_temporal='conv'), "integration_to_temporal='conv' must be one of"),
        (
            dict(temporal_to_integration='nearest'),
            "temporal_to_integration='nearest' must be one of",
        ),
        (dict(time_interpolation='cubic'), "time_interpolation='cubic'"),
        (dict(tower_dtype='float16'), "tower_dtype='float16'"),
        (dict(temporal_block=None), 'set integration_to_temporal=None'),
        (dict(integration=False, integration_to_temporal=None), 'temporal_to_integration=None'),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_clips_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match='5 frames, which is no multiple of gamma=2'):
        make()(torch.randn(1, 3, 5, 32, 32))
    with pytest.raises(ValueError, match='FormatShape must be NCTHW'):
        make()(torch.randn(6, 3, 32, 32))


def test_tables_and_tokens_do_not_decay() -> None:
    dist = make()
    flat = {name for name, p in dist.named_parameters() if p.ndim < 2}
    kept = {name for name, _ in dist.branch.named_parameters() if not decays(dist.branch, name)}
    branch = {name.removeprefix('branch.') for name in [*flat, *time_tables(dist)]}
    assert kept == {name for name in branch if not name.startswith('tower.')}


def test_starts_as_released() -> None:
    dist = DiST(FROZEN, gamma=2, num_frames=8, width=128, temporal_width=64)
    for name, p in dist.branch.named_parameters():
        owner, _, leaf = name.rpartition('.')
        if leaf in ('bias', 'in_proj_bias'):
            assert not p.any(), name
        elif name == 'projection.weight':
            assert p.std().item() == pytest.approx(128**-0.5, rel=0.1)
        elif leaf == 'in_proj_weight':
            assert p.abs().max() <= (6 / (4 * 128)) ** 0.5  # Xavier's bound
            assert p.std().item() == pytest.approx((2 / (4 * 128)) ** 0.5, rel=0.05)
        elif 'norm' in owner.rpartition('.')[-1]:
            assert (p == 1).all(), name
        else:
            assert p.std().item() == pytest.approx(0.02, rel=0.25), name


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(
            temporal_block='tadaconv',
            temporal_to_integration='max',
            integration_to_temporal='trilinear',
        ),
        dict(temporal_block='joint', temporal_to_integration=None),
        dict(tower_dtype='bfloat16', frame_features=True),
    ],
    ids=['default', 'tadaconv', 'joint', 'bfloat16 and frames'],
)
def test_compiles_without_a_graph_break(options: dict[str, Any]) -> None:
    vision = dict(CLIP['vision_cfg'], layers=2)
    dist = make(dict(FROZEN, model=dict(CLIP, vision_cfg=vision)), **options)
    video = clip_for(dist)
    torch._dynamo.reset()
    compiled = torch.compile(dist, fullgraph=True, backend='eager')
    close = dict(atol=0.02, rtol=0.02) if dist.tower_dtype else {}
    torch.testing.assert_close(compiled(video), dist(video), **close)


def test_bf16_autocast() -> None:
    dist = make()
    video = clip_for(dist)
    with torch.no_grad():
        full = dist(video)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            half = dist(video)
    assert F.cosine_similarity(half.float(), full, dim=-1).min() > 0.99
