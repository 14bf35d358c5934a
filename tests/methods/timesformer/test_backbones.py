"""Joint and divided space-time attention: what they equal, what they must not, what they cost."""

from typing import Any

import pytest
import torch
from helpers.tiny_models import COCA_TOWER, TOWER, VIT_TOWER, shaken
from torch import Tensor

from mmstan.benchmark.measure import count_multiply_adds, count_parameters
from mmstan.methods.timesformer import DividedSpaceTime, JointSpaceTime
from mmstan.methods.timesformer import checkpoints as timesformer
from mmstan.models import FrameEncoder
from mmstan.registry import MODELS

TOWERS = pytest.mark.parametrize(
    'tower', [TOWER, COCA_TOWER, VIT_TOWER], ids=['clip', 'coca', 'vit']
)
SYSTEMS = pytest.mark.parametrize('system', [JointSpaceTime, DividedSpaceTime])


def make(system: type, tower: dict[str, Any] = TOWER, **options: Any) -> Any:
    """A backbone none of whose parameters is zero, so that every path counts."""
    return shaken(system(tower, **{'num_frames': 4, **options})).eval()


def clip(n: int = 2, t: int = 4, size: int = 32) -> Tensor:
    return torch.randn(n, 3, t, size, size)


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@TOWERS
@torch.no_grad()
def test_joint_attention_on_one_frame_is_the_tower(tower: dict[str, Any]) -> None:
    encoder = FrameEncoder(tower).eval()
    shaken(encoder)
    joint = JointSpaceTime(tower, num_frames=8).eval()
    joint.tower.load_state_dict(encoder.tower.state_dict())
    video = clip(t=1)
    assert_equal(joint(video), encoder(video))
    assert_equal(joint.tokens(video), encoder.tokens(video))
    video = clip(t=2)
    assert (joint(video) - encoder(video).mean(1, keepdim=True)).abs().max() > 1e-3
    shaken(joint)  # the time table is no longer zero
    assert (joint(clip(t=1)) - encoder(clip(t=1))).abs().max() > 1e-3


@torch.no_grad()
def test_joint_attention_by_its_definition() -> None:
    joint, video = make(JointSpaceTime), clip(1, 4)
    tower = joint.tower.visual
    patches = tower.conv1(video[0].transpose(0, 1)).flatten(2).transpose(1, 2)  # (T, L, C)
    patches = patches + tower.positional_embedding[1:] + joint.time_embedding[:, None]
    cls = tower.class_embedding + tower.positional_embedding[0]
    x = tower.ln_pre(torch.cat([cls[None], patches.flatten(0, 1)]))[None]
    for block in tower.transformer.resblocks:
        h = block.ln_1(x)
        x = x + block.attn(h, h, h, need_weights=False)[0]
        x = x + block.mlp(block.ln_2(x))
    assert_equal(joint(video), tower.ln_post(x[:, :1]) @ tower.proj)


@torch.no_grad()
def test_divided_attention_by_its_definition() -> None:
    divided, video = make(DividedSpaceTime), clip(1, 4)
    x = divided.embed(video)[0]
    cls, patches = x[:1], x[1:].unflatten(0, (4, -1))  # (1, C), (T, L, C)
    for block, temporal in zip(divided.tower.blocks, divided.temporal):
        h = temporal.norm(patches).transpose(0, 1)  # (L, T, C)
        update = temporal.temporal_fc(temporal.attn(h, h, h, need_weights=False)[0])
        patches = patches + update.transpose(0, 1)
        h = block.ln_1(torch.cat([cls.expand(4, 1, -1), patches], dim=1))
        update = block.attn(h, h, h, need_weights=False)[0]
        cls, patches = cls + update[:, 0].mean(0), patches + update[:, 1:]
        cls, patches = (y + block.mlp(block.ln_2(y)) for y in (cls, patches))
    tower = divided.tower.visual
    assert_equal(divided(video)[0], tower.ln_post(cls) @ tower.proj)


@SYSTEMS
@TOWERS
def test_shapes_gradients_and_rows_that_are_left_out(system: type, tower: dict[str, Any]) -> None:
    backbone, video = make(system, tower, drop_path=0.1).train(), clip()
    features = backbone(video)
    assert features.shape == (2, 1, backbone.out_dim)
    features.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in backbone.parameters())
    backbone.eval()
    with torch.no_grad():
        tokens = backbone.tokens(video)
        assert tokens.shape == (2, 4, 17, 32)
        joined = torch.cat([tokens[:, 0, :1], tokens[:, :, 1:].flatten(1, 2)], dim=1)
        assert_equal(backbone(video), backbone.tower.project(joined)[:, None])


@TOWERS
@torch.no_grad()
def test_divided_attention_starts_from_the_towers_own(tower: dict[str, Any]) -> None:
    divided = DividedSpaceTime(tower, num_frames=4)
    shaken(divided.tower)
    divided.init_weights()
    sequences = torch.randn(6, 4, 32)  # as frames of one patch, or as frames of four patches
    for k, (block, temporal) in enumerate(zip(divided.tower.blocks, divided.temporal)):
        assert bool(temporal.temporal_fc.weight.any()) == (k == 0)  # the others start at zero
        torch.nn.init.eye_(temporal.temporal_fc.weight)
        update = temporal.eval()(sequences[:, :, None], (1, 1))[:, :, 0]
        assert_equal(update, block.eval().attend(sequences))
    encoder = FrameEncoder(tower).eval()
    encoder.tower.load_state_dict(divided.tower.state_dict())
    divided = DividedSpaceTime(tower, num_frames=4).eval()
    divided.tower.load_state_dict(encoder.tower.state_dict())
    divided.init_weights()
    video = clip(t=1)
    assert (divided(video) - encoder(video)).abs().max() > 1e-4  # block 0 is no identity


@SYSTEMS
@torch.no_grad()
def test_order_matters_through_the_time_table_alone(system: type) -> None:
    backbone, video = make(system), clip()
    order = torch.tensor([2, 0, 3, 1])
    assert (backbone(video) - backbone(video[:, :, order])).abs().max() > 1e-4
    backbone.time_embedding.zero_()
    assert_equal(backbone(video), backbone(video[:, :, order]))


@SYSTEMS
@torch.no_grad()
def test_clips_of_a_batch_do_not_meet(system: type) -> None:
    backbone, video = make(system), clip(3)
    assert_equal(backbone(video), torch.cat([backbone(one[None]) for one in video]))


@pytest.mark.parametrize(
    ('t', 'indices'),
    [(4, [0, 1, 2, 3]), (2, [0, 2]), (6, [0, 0, 1, 2, 2, 3]), (8, [0, 0, 1, 1, 2, 2, 3, 3])],
)
def test_the_time_table_is_stretched_to_the_nearest(t: int, indices: list[int]) -> None:
    backbone = make(JointSpaceTime)
    assert torch.equal(backbone.times(t), backbone.time_embedding[indices])
    assert backbone(clip(t=t)).shape == (2, 1, 16)


@SYSTEMS
@pytest.mark.parametrize('size', [(32, 48), (64, 64)])
def test_other_image_sizes(system: type, size: tuple[int, int]) -> None:
    assert make(system)(torch.randn(1, 3, 4, *size)).shape == (1, 1, 16)


@SYSTEMS
def test_what_is_refused(system: type) -> None:
    with pytest.raises(ValueError, match='FormatShape must be NCTHW'):
        make(system)(torch.randn(8, 3, 32, 32))
    with pytest.raises(ValueError, match='num_frames=0'):
        make(system, num_frames=0)


@SYSTEMS
def test_compiles_without_a_graph_break(system: type) -> None:
    backbone, video = make(system), clip()
    torch._dynamo.reset()
    compiled = torch.compile(backbone, fullgraph=True, backend='eager')
    assert_equal(compiled(video), backbone(video))


@SYSTEMS
def test_drop_path_rates_rise(system: type) -> None:
    backbone = make(system, drop_path=0.3)
    rates = [0.0, 0.1, 0.2, 0.3]
    assert [drop.drop_prob for drop in backbone.drop_paths] == pytest.approx(rates)
    if system is DividedSpaceTime:
        drops = [module.drop_path.drop_prob for module in backbone.temporal]
        assert drops == pytest.approx(rates)


@SYSTEMS
def test_timesformer_checkpoints_there_and_back(system: type) -> None:
    backbone = make(system, VIT_TOWER)
    state = {f'backbone.{name}': tensor for name, tensor in backbone.state_dict().items()}
    state.update(
        {'cls_head.fc_cls.weight': torch.randn(5, 32), 'cls_head.fc_cls.bias': torch.ones(5)}
    )
    released = timesformer.to_released(state)
    assert released['model.time_embed'].shape == (1, 4, 32)
    again = timesformer.from_released({'model_state': released})
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], state[name]) for name in state)
    del released['model.blocks.1.norm1.bias']
    with pytest.raises(ValueError, match=r'1 tensors missing: model\.blocks\.1\.norm1\.bias'):
        timesformer.from_released(released)


CLIP_B32 = dict(type='mmstan.ImageTower', model='ViT-B-32')
CLIP_B16 = dict(type='mmstan.ImageTower', model='ViT-B-16')
VIT_B16 = dict(type='mmstan.MMPretrainImageTower', vit=dict(arch='b', img_size=224))


@pytest.mark.parametrize(
    ('name', 'tower', 'frames', 'macs', 'new'),
    [
        ('JointSpaceTime', CLIP_B16, 8, 179.6, 8 * 768),
        ('JointSpaceTime', CLIP_B16, 12, 303.3, 12 * 768),
        ('JointSpaceTime', CLIP_B16, 16, 449.7, 16 * 768),
        ('JointSpaceTime', CLIP_B32, 8, 37.2, 8 * 768),
        ('JointSpaceTime', CLIP_B32, 12, 57.8, 12 * 768),
        # MMAction2 prints 196 G and 122 M parameters for TimeSformer.
        ('DividedSpaceTime', VIT_B16, 8, 196.0, 8 * 768 + 12 * 2_954_496),
    ],
)
def test_cost(name: str, tower: dict[str, Any], frames: int, macs: float, new: int) -> None:
    with torch.device('meta'):
        backbone = MODELS.build(dict(type=f'mmstan.{name}', tower=tower, num_frames=frames))
        video = torch.empty(1, 3, frames, 224, 224)
    assert count_multiply_adds(backbone.tokens, video).total / 1e9 == pytest.approx(macs, rel=0.01)
    assert count_parameters(backbone)[0] - count_parameters(backbone.tower)[0] == new
