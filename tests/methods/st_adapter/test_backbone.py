"""ST-Adapter: the tower at the start, its definition, where the adapters stand, costs."""

from typing import Any

import pytest
import torch
from helpers.tiny_models import COCA_TOWER, TOWER, VIT_TOWER, shaken
from torch import Tensor

from mmstan.benchmark.measure import count_multiply_adds, count_parameters
from mmstan.methods.st_adapter import STAdapter
from mmstan.methods.st_adapter import checkpoints as st_adapter
from mmstan.models import FrameEncoder

BOTH = ('attention', 'mlp')
TOWERS = pytest.mark.parametrize(
    'tower', [TOWER, COCA_TOWER, VIT_TOWER], ids=['clip', 'coca', 'vit']
)
PLACES = pytest.mark.parametrize('before', [('mlp',), ('attention',), BOTH])


def make(tower: dict[str, Any] = TOWER, **options: Any) -> STAdapter:
    """Adapters none of whose parameters is zero, so that every path counts."""
    backbone = STAdapter(tower, **{'hidden': 8, **options})
    shaken(backbone)
    return backbone.eval()


def clip(n: int = 2, t: int = 3, size: int = 32) -> Tensor:
    return torch.randn(n, 3, t, size, size)


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@TOWERS
@PLACES
@torch.no_grad()
def test_starts_as_the_tower(tower: dict[str, Any], before: tuple) -> None:
    encoder, backbone = FrameEncoder(tower).eval(), STAdapter(tower, before=before).eval()
    shaken(encoder)
    backbone.tower.load_state_dict(encoder.tower.state_dict())
    video = clip()
    assert torch.equal(backbone(video), encoder(video))
    assert torch.equal(backbone.tokens(video), encoder.tokens(video))
    shaken(backbone.adapters)
    assert (backbone(video) - encoder(video)).abs().max() > 1e-4


@torch.no_grad()
def test_equals_the_definition() -> None:
    backbone, video = make(before=BOTH), clip(1)
    x = backbone.tower.embed(video[0].transpose(0, 1))  # (T, 1+L, C)

    def adapted(x: Tensor, place: str, k: int) -> Tensor:
        adapter = backbone.adapters[place][str(k)]
        h = adapter.down(x[:, 1:]).transpose(0, 1)  # (L, T, hidden)
        h = torch.nn.functional.conv1d(
            h.transpose(1, 2), adapter.conv.weight, adapter.conv.bias, padding=1, groups=8
        )
        update = adapter.up(h.permute(2, 0, 1))  # (T, L, C)
        return torch.cat([x[:, :1], x[:, 1:] + update], dim=1)

    for k, block in enumerate(backbone.tower.blocks):
        x = adapted(x, 'attention', k)
        x = x + block.attend(x)
        x = adapted(x, 'mlp', k)
        x = x + block.feed_forward(x)
    assert_equal(backbone.tokens(video)[0], x)
    tower = backbone.tower.visual
    assert_equal(backbone(video)[0], tower.ln_post(x[:, 0]) @ tower.proj)
    backbone.features = 'clip'
    assert_equal(backbone(video)[0, 0], tower.ln_post(x[:, 0].mean(0)))


@TOWERS
@PLACES
def test_gradients_and_rows_that_are_left_out(tower: dict[str, Any], before: tuple) -> None:
    backbone, video = make(dict(tower, frozen=True), before=before).train(), clip()
    features = backbone(video)
    assert features.shape == (2, 3, backbone.out_dim)
    features.square().sum().backward()
    idle = {name for name, p in backbone.named_parameters() if p.grad is None or not p.grad.any()}
    # The class token reads the patches in attention; what changes them after the last is unread.
    last = () if backbone.tower.reads_patches else ('adapters.mlp.3.',)
    assert idle == {
        name for name, _ in backbone.named_parameters() if name.startswith(('tower.', *last))
    }
    with torch.no_grad():
        tokens = backbone.eval().tokens(video)
        assert tokens.shape == (2, 3, 17, 32)
        assert_equal(features, backbone.tower.project(tokens.flatten(0, 1)).unflatten(0, (2, 3)))


def test_no_graph_before_the_first_adapter() -> None:
    backbone = make(dict(TOWER, frozen=True), layers=2).train()
    outputs: list[Tensor] = []
    for block in backbone.tower.blocks:
        block.ln_1.register_forward_hook(lambda _, __, x: outputs.append(x))
    backbone(clip())
    assert [x.requires_grad for x in outputs] == [False, False, False, True]
    assert not backbone.tower.training and backbone.adapters.training


@PLACES
def test_adapters_stand_in_the_last_blocks(before: tuple) -> None:
    adapters = make(before=before, layers=3).adapters
    assert {place: list(part) for place, part in adapters.items()} == {
        place: ['1', '2', '3'] for place in before
    }


@TOWERS
@torch.no_grad()
def test_features_of_the_clip(tower: dict[str, Any]) -> None:
    if tower is COCA_TOWER:
        with pytest.raises(ValueError, match='pools its patches by attention'):
            make(tower, features='clip')
        return
    if tower is VIT_TOWER:  # a joint space makes no difference
        tower = dict(VIT_TOWER, joint_dim=16)
    backbone, video = make(tower, features='clip'), clip()
    features = backbone(video)
    assert features.shape == (2, 1, backbone.out_dim) == (2, 1, 32)
    visual = backbone.tower.visual
    norm = visual.ln_post if tower is TOWER else visual.ln1
    assert_equal(features[:, 0], norm(backbone.tokens(video)[:, :, 0].mean(1)))


@torch.no_grad()
def test_a_frame_sees_the_frames_beside_it() -> None:
    backbone, video = make(layers=2), clip(1, 5)
    other = video.clone()
    other[:, :, 0] = torch.randn(3, 32, 32)
    changed = (backbone.tokens(video) - backbone.tokens(other)).abs().amax((0, 2, 3)) > 1e-6
    assert changed.tolist() == [True, True, True, False, False]  # a frame further in each adapter


@torch.no_grad()
def test_clips_of_a_batch_do_not_meet() -> None:
    backbone, video = make(), clip(3)
    assert_equal(backbone(video), torch.cat([backbone(one[None]) for one in video]))


@pytest.mark.parametrize('size', [(32, 48), (64, 64)])
@torch.no_grad()
def test_other_image_sizes(size: tuple[int, int]) -> None:
    assert make()(torch.randn(1, 3, 2, *size)).shape == (1, 2, 16)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(layers=5), 'layers=5: the tower has 4 blocks'),
        (dict(layers=0), 'layers=0'),
        (dict(before=('mlp', 'attention')), 'before='),
        (dict(before=()), 'before='),
        (dict(features='mean'), "features='mean' must be one of 'frames', 'clip'"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_4d_input_is_refused() -> None:
    with pytest.raises(ValueError, match='FormatShape must be NCTHW'):
        make()(torch.randn(8, 3, 32, 32))


def test_compiles_without_a_graph_break() -> None:
    backbone, video = make(before=BOTH), clip()
    torch._dynamo.reset()
    compiled = torch.compile(backbone, fullgraph=True, backend='eager')
    assert_equal(compiled(video), backbone(video))


@PLACES
def test_checkpoints_there_and_back(before: tuple) -> None:
    backbone = make(before=before, layers=2, features='clip')
    state = {f'backbone.{name}': tensor for name, tensor in backbone.state_dict().items()}
    state |= {'cls_head.fc_cls.weight': torch.randn(5, 32), 'cls_head.fc_cls.bias': torch.ones(5)}
    released = st_adapter.to_released(state)
    again = st_adapter.from_released(released)
    assert again.keys() == state.keys() - {'backbone.tower.visual.proj'}
    assert all(torch.equal(again[name], state[name]) for name in again)
    place = 'adapter_pre_attn' if 'attention' in before else 'adapter_pre_mlp'
    kernel = f'transformer.resblocks.3.{place}.conv.weight'
    assert released.pop(kernel).shape == (8, 1, 3, 1, 1)
    with pytest.raises(ValueError, match=f'1 tensors missing: {kernel}'):
        st_adapter.from_released(released)


@pytest.mark.parametrize(
    ('model', 'before', 'frames', 'macs', 'parameters'),
    [
        ('ViT-B-16', ('mlp',), 8, 151.6, 7_110_144),
        ('ViT-B-16', ('mlp',), 32, 606.5, 7_110_144),
        ('ViT-B-16', BOTH, 8, 162.7, 14_220_288),
        ('ViT-L-14', ('mlp',), 8, None, 18_945_024),
        ('ViT-L-14', BOTH, 8, None, 37_890_048),
    ],
)
def test_cost(model: str, before: tuple, frames: int, macs: float | None, parameters: int) -> None:
    with torch.device('meta'):
        tower = dict(type='mmstan.ImageTower', model=model, frozen=True)
        backbone = STAdapter(tower, before=before)
        video = torch.empty(1, 3, frames, 224, 224)
    assert count_parameters(backbone)[1] == parameters
    if macs is not None:
        counted = count_multiply_adds(backbone.tokens, video).total
        assert counted / 1e9 == pytest.approx(macs, rel=0.01)
