"""Patches over three frames: the tower at the start, a 3D convolution afterwards."""

from typing import Any

import pytest
import torch
from helpers.tiny_models import COCA_TOWER, TOWER, VIT_TOWER, shaken
from torch import Tensor

from mmstan.benchmark.measure import count_multiply_adds, count_parameters
from mmstan.methods.clip4clip import TubePatches
from mmstan.models import FrameEncoder

TOWERS = pytest.mark.parametrize(
    'tower', [TOWER, COCA_TOWER, VIT_TOWER], ids=['clip', 'coca', 'vit']
)


def clip(n: int = 2, t: int = 4, size: int = 32) -> Tensor:
    return torch.randn(n, 3, t, size, size)


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def make(tower: dict[str, Any] = TOWER) -> TubePatches:
    backbone = TubePatches(tower)
    shaken(backbone)
    return backbone.eval()


@TOWERS
@torch.no_grad()
def test_starts_as_the_tower(tower: dict[str, Any]) -> None:
    encoder, backbone = FrameEncoder(tower).eval(), TubePatches(tower).eval()
    shaken(encoder)
    backbone.tower.load_state_dict(encoder.tower.state_dict())
    video = clip()
    assert torch.equal(backbone(video), encoder(video))
    assert torch.equal(backbone.tokens(video), encoder.tokens(video))
    shaken(backbone.before)
    assert (backbone(video) - encoder(video)).abs().max() > 1e-3


@torch.no_grad()
def test_equals_a_convolution_over_three_frames() -> None:
    backbone, video = make(), clip()
    tower = backbone.tower.visual
    slices = backbone.before.weight, tower.conv1.weight, backbone.after.weight
    kernel = torch.stack(slices, dim=2)  # (C, 3, 3, p, p)
    x = torch.nn.functional.conv3d(video, kernel, stride=(1, 8, 8), padding=(1, 0, 0))
    patches = x.permute(0, 2, 3, 4, 1).reshape(8, 16, 32)  # (N*T, L, C)
    x = torch.cat([tower.class_embedding.expand(8, 1, -1), patches], dim=1)
    assert_equal(backbone.embed(video), tower.ln_pre(x + tower.positional_embedding))


@TOWERS
def test_shapes_and_gradients(tower: dict[str, Any]) -> None:
    backbone, video = make(tower).train(), clip()
    features = backbone(video)
    assert features.shape == (2, 4, backbone.out_dim)
    features.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in backbone.parameters())
    with torch.no_grad():
        tokens = backbone.tokens(video)
        assert tokens.shape == (2, 4, 17, 32)
        assert_equal(features, backbone.tower.project(tokens.flatten(0, 1)).unflatten(0, (2, 4)))


@torch.no_grad()
def test_a_frame_sees_the_frames_beside_it_and_no_other_clip() -> None:
    backbone, video = make(), clip(2, 5)
    other = video.clone()
    other[0, :, 2] = torch.randn(3, 32, 32)
    changed = (backbone(video) - backbone(other)).abs().amax(-1) > 1e-6
    assert changed.tolist() == [[False, True, True, True, False], [False] * 5]


@torch.no_grad()
def test_other_image_sizes() -> None:
    assert make()(torch.randn(1, 3, 2, 48, 32)).shape == (1, 2, 16)


def test_4d_input_is_refused() -> None:
    with pytest.raises(ValueError, match='FormatShape must be NCTHW'):
        make()(torch.randn(8, 3, 32, 32))


def test_compiles_without_a_graph_break() -> None:
    backbone, video = make(), clip()
    torch._dynamo.reset()
    compiled = torch.compile(backbone, fullgraph=True, backend='eager')
    assert_equal(compiled(video), backbone(video))


def test_cost() -> None:
    with torch.device('meta'):
        tower = dict(type='mmstan.ImageTower', model='ViT-B-32')
        backbone, encoder = TubePatches(tower), FrameEncoder(tower)
        video = torch.empty(1, 3, 12, 224, 224)
    kernel = 3 * 32 * 32 * 768  # of a frame
    assert count_parameters(backbone)[0] - count_parameters(encoder)[0] == 2 * kernel
    macs = [count_multiply_adds(module.tokens, video).total for module in (backbone, encoder)]
    assert macs[0] - macs[1] == 12 * 49 * 2 * kernel
