"""X-CLIP's backbone and neck: equal to their definition, their invariances, their fast paths."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.frame_masks import LENGTHS, prefixes, samples
from helpers.tiny_models import CLIP, COCA_TOWER, TOWER, VIT_TOWER, shaken
from mmengine.runner.checkpoint import load_state_dict
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from mmstan.methods.xclip import XCLIP, MessageToken, MultiFrameIntegration
from mmstan.models import FrameEncoder, MeanPool

TOWERS = {'clip': TOWER, 'coca': COCA_TOWER, 'vit': VIT_TOWER}
VARIANTS: dict[str, dict[str, Any]] = {
    'default': {},
    'message token alone': dict(context=False),
    'checkpointing': dict(checkpointing=True),
}


def make(tower: dict[str, Any] = TOWER, **options: Any) -> XCLIP:
    """A backbone of which every parameter counts."""
    return shaken(XCLIP(tower, **options)).eval()


def make_neck(num_frames: int = 3, **options: Any) -> MultiFrameIntegration:
    return shaken(MultiFrameIntegration(16, num_frames=num_frames, heads=2, **options)).eval()


def clip(n: int = 2, t: int = 3, size: int = 32) -> Tensor:
    return torch.randn(n, 3, t, size, size)


def parts(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


def quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


# --- the backbone ---


def by_definition(xclip: XCLIP, video: Tensor) -> Tensor:
    """The tokens (T, 1 + L, C) of the specification's steps for one clip (3, T, H, W)."""
    x = xclip.tower.embed(video.transpose(0, 1))
    for block, message in zip(xclip.tower.blocks, xclip.messages):
        m = message.fc(x[:, 0])  # (T, C)
        normed = message.norm(m)[None]
        m = m + message.attn(normed, normed, normed, need_weights=False)[0][0]
        x = torch.cat([x, m[:, None]], dim=1)
        normed = block.ln_1(x)
        x = (x + block.attn(normed, normed, normed, need_weights=False)[0])[:, :-1]
        x = x + block.mlp(block.ln_2(x))
    return x


@torch.no_grad()
@pytest.mark.parametrize('t', [1, 3, 7])
def test_equals_the_definition(t: int) -> None:
    xclip, video = make(), clip(2, t)
    tokens = torch.stack([by_definition(xclip, one) for one in video])
    frames, context = xclip(video)
    torch.testing.assert_close(xclip.tokens(video), tokens, atol=1e-5, rtol=1e-5)
    projected = [xclip.tower.project(x) for x in tokens]
    torch.testing.assert_close(frames, torch.stack(projected), atol=1e-5, rtol=1e-5)
    normed = xclip.context.norm(tokens[:, :, 1:])
    expected = (normed @ xclip.context.proj.weight.T).mean(dim=1)  # as released: projected first
    torch.testing.assert_close(context, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('options', VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize('tower', TOWERS.values(), ids=TOWERS)
def test_variants(options: dict[str, Any], tower: dict[str, Any]) -> None:
    xclip, video = make(tower, **options), clip()
    out = parts(xclip.train()(video))
    wanted = [(2, 3, xclip.out_dim), (2, 16, xclip.out_dim)]
    assert [x.shape for x in out] == wanted[: 1 + options.get('context', True)]
    sum(x.square().sum() for x in out).backward()
    assert [name for name, p in xclip.named_parameters() if p.grad is None] == []
    assert [name for name, p in xclip.named_parameters() if not p.grad.any()] == []
    xclip.eval()
    with torch.no_grad():  # rows that nobody reads are left out in one, computed in the other
        tokens = xclip.tokens(video)
        whole = xclip.tower.project(tokens.flatten(0, 1)).unflatten(0, (2, 3))
        torch.testing.assert_close(parts(xclip(video))[0], whole, atol=1e-5, rtol=1e-5)
    again = XCLIP(tower, **options).eval()
    again.load_state_dict(xclip.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again(video), xclip(video))


@torch.no_grad()
def test_context_changes_no_frame() -> None:
    xclip, video = make(), clip()
    alone = XCLIP(TOWER, context=False).eval()
    state = {k: v for k, v in xclip.state_dict().items() if not k.startswith('context.')}
    alone.load_state_dict(state)
    torch.testing.assert_close(alone(video), xclip(video)[0])


@torch.no_grad()
def test_frames_see_each_other_and_clips_do_not() -> None:
    xclip, video = make(), clip(3, 4)
    frames, context = xclip(video)
    for i, one in enumerate(video):
        alone = xclip(one[None])
        torch.testing.assert_close(frames[[i]], alone[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(context[[i]], alone[1], atol=1e-5, rtol=1e-5)
    changed = video.clone()
    changed[:, :, 2] = torch.randn_like(video[:, :, 2])
    assert ((xclip(changed)[0] - frames).abs().amax(dim=-1) > 1e-3).all()
    for message in xclip.messages:  # messages that nobody has sent
        message.attn.out_proj.weight.zero_()
    difference = (xclip(changed)[0] - xclip(video)[0]).abs().amax(dim=(0, 2))
    assert difference[2] > 1e-3
    assert difference[[0, 1, 3]].max() < 1e-6


@torch.no_grad()
def test_knows_no_order_of_frames() -> None:
    xclip, video, order = make(), clip(2, 5), torch.tensor([3, 0, 4, 1, 2])
    (frames, context), (others, same) = xclip(video), xclip(video[:, :, order])
    torch.testing.assert_close(others, frames[:, order], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(same, context, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_starts_as_released() -> None:
    """Nothing starts at zero: the tower's output is changed from the first step on."""
    xclip = XCLIP(TOWER)
    xclip.init_weights()
    xclip.eval()
    frames = FrameEncoder(TOWER).eval()
    frames.tower.load_state_dict(xclip.tower.state_dict())
    video = clip()
    assert (xclip(video)[0] - frames(video)).abs().max() > 1e-4
    message = MessageToken(256, heads=4)
    assert message.fc.weight.std() == pytest.approx(1 / (3 * 256) ** 0.5, rel=0.02)
    assert message.fc.bias.std() == pytest.approx(1 / (3 * 256) ** 0.5, rel=0.15)
    assert message.attn.in_proj_weight.std() == pytest.approx((2 / (4 * 256)) ** 0.5, rel=0.02)
    assert message.attn.out_proj.weight.std() == pytest.approx(1 / (3 * 256) ** 0.5, rel=0.02)
    assert xclip.context.proj.weight.std() == pytest.approx(1, rel=0.1)
    neck = MultiFrameIntegration(256, num_frames=64, heads=4)
    block = neck.blocks[0]
    for weight in (neck.positions, block.attn.out_proj.weight, block.mlp.c_fc.weight):
        assert weight.std() == pytest.approx(0.02, rel=0.03)
    assert not block.mlp.c_fc.bias.any()
    assert block.attn.in_proj_weight.std() == pytest.approx((2 / (4 * 256)) ** 0.5, rel=0.02)


def test_learns_beside_a_frozen_tower() -> None:
    xclip = XCLIP(dict(TOWER, frozen=True)).train()
    sum(x.sum() for x in xclip(clip())).backward()
    learning = {name.split('.')[0] for name, p in xclip.named_parameters() if p.grad is not None}
    assert learning == {'messages', 'context'}
    assert not xclip.tower.training
    assert xclip.messages[0].training


def test_drop_path_rises_with_depth() -> None:
    xclip = XCLIP(TOWER, drop_path=0.3)
    rates = [0.0, 0.1, 0.2, 0.3]
    assert [drop.drop_prob for drop in xclip.drop_paths] == pytest.approx(rates)
    assert [m.drop_path.drop_prob for m in xclip.messages] == pytest.approx(rates)


@torch.no_grad()
def test_drop_path_drops_whole_clips() -> None:
    xclip, video = make().train(), clip(60, 3)
    for drop in xclip.drop_paths:
        drop.drop_prob = 0.8
    before = xclip.tower.embed(video.transpose(1, 2).flatten(0, 1)).unflatten(0, (60, 3))
    same = (xclip.tokens(video) == before).flatten(2)  # 8 updates, all of them dropped
    assert 0.02 < same.all(dim=(1, 2)).float().mean() < 0.5
    assert torch.equal(same.all(dim=2).all(dim=1), same.all(dim=2).any(dim=1))  # all frames alike
    message, cls = xclip.messages[0], torch.randn(60, 3, 32)
    message.drop_path.drop_prob = 0.5
    update = message(cls) - message.fc(cls)
    dropped = (update == 0).all(dim=2)
    assert 0.2 < dropped.float().mean() < 0.8
    assert torch.equal(dropped.all(dim=1), dropped.any(dim=1))


def test_checkpointing_changes_nothing() -> None:
    plain, video = make(drop_path=0.5).train(), clip()
    saving = XCLIP(TOWER, drop_path=0.5, checkpointing=True).train()
    saving.load_state_dict(plain.state_dict())
    for xclip in (plain, saving):
        torch.manual_seed(0)
        sum(x.square().sum() for x in xclip(video)).backward()
    for (name, a), b in zip(plain.named_parameters(), saving.parameters()):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


@pytest.mark.parametrize('options', VARIANTS.values(), ids=VARIANTS)
def test_compiles_without_a_graph_break(options: dict[str, Any]) -> None:
    xclip, video = make(**options), clip()
    torch._dynamo.reset()
    compiled = torch.compile(xclip, fullgraph=True, backend='eager')
    torch.testing.assert_close(compiled(video), xclip(video))


def test_backbone_and_neck_compile_together() -> None:
    model, video = nn.Sequential(make(), make_neck()), clip()
    torch._dynamo.reset()
    compiled, _ = torch.compile(model, fullgraph=True, backend='eager')(video)
    torch.testing.assert_close(compiled, model(video)[0])


@torch.no_grad()
def test_bf16_autocast() -> None:
    xclip, video = make(), clip()
    full = xclip(video)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = xclip(video)
    for a, b in zip(half, full):
        assert F.cosine_similarity(a.float(), b, dim=-1).min() > 0.99


@pytest.mark.parametrize('size', [(48, 32), (64, 64)])
def test_other_image_sizes(size: tuple[int, int]) -> None:
    frames, context = make()(torch.randn(1, 3, 2, *size))
    assert frames.shape == (1, 2, 16)
    assert context.shape == (1, size[0] * size[1] // 64, 16)


def test_4d_input_is_refused() -> None:
    with pytest.raises(ValueError, match='FormatShape must be NCTHW'):
        make()(torch.randn(8, 3, 32, 32))


# --- the neck ---


@torch.no_grad()
@pytest.mark.parametrize('layers', [1, 2])
def test_neck_equals_the_definition(layers: int) -> None:
    neck = make_neck(4, layers=layers)
    frames, context = torch.randn(3, 4, 16), torch.randn(3, 9, 16)
    h = frames + neck.positions
    for block in neck.blocks:
        normed = block.ln_1(h)
        h = h + block.attn(normed, normed, normed, need_weights=False)[0]
        h = h + block.mlp.c_proj(quick_gelu(block.mlp.c_fc(block.ln_2(h))))
    expected = (h + frames).mean(dim=1)
    video, losses = neck(frames)
    assert losses == {}
    torch.testing.assert_close(video, expected, atol=1e-5, rtol=1e-5)
    (video, handed_on), _ = neck((frames, context), data_samples=None)
    torch.testing.assert_close(video, expected, atol=1e-5, rtol=1e-5)
    assert handed_on is context


@torch.no_grad()
def test_padded_frames_take_no_part_in_the_neck() -> None:
    neck, frames = make_neck(6, layers=2), torch.randn(4, 6, 16)
    masks = [*prefixes(), torch.zeros(6, dtype=torch.bool)]
    video, _ = neck(frames, samples(masks))
    for clip_frames, ours, length in zip(frames, video, LENGTHS):
        alone = make_neck(length, layers=2)
        state = neck.state_dict()
        alone.load_state_dict({**state, 'positions': state['positions'][:, :length]})
        torch.testing.assert_close(ours, alone(clip_frames[None, :length])[0][0])
    assert not video[3].any()  # no frame is real
    assert torch.equal(neck(frames, torch.stack(masks))[0], video)  # as in an exported model
    unmasked, _ = neck(frames, samples([None] * 4))
    torch.testing.assert_close(neck(frames, torch.ones(4, 6, dtype=torch.bool))[0], unmasked)


def test_neck_of_another_number_of_frames() -> None:
    with pytest.raises(ValueError, match=r"^5 frames, but num_frames=3.*'linear'"):
        make_neck()(torch.zeros(1, 5, 16))
    neck = make_neck(time_interpolation='linear')
    longer = make_neck(5)
    table = F.interpolate(neck.positions.mT, 5, mode='linear', align_corners=False).mT
    longer.load_state_dict(dict(neck.state_dict(), positions=table))
    x = torch.randn(2, 5, 16)
    torch.testing.assert_close(neck(x)[0], longer(x)[0])


@pytest.mark.parametrize(
    'make_wrong',
    [lambda: make(grid_interpolation='linear'), lambda: make_neck(time_interpolation='cubic')],
)
def test_unknown_interpolation(make_wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"_interpolation='\w+' must be one of '\w+', None"):
        make_wrong()


# --- checkpoints of other sizes ---


class Model(nn.Module):
    """As in a recognizer: the tables have prefixes."""

    def __init__(self, size: int, frames: int, *, grid: Any = None, time: Any = None) -> None:
        super().__init__()
        self.backbone = make(dict(TOWER, image_size=size), grid_interpolation=grid)
        self.neck = make_neck(frames, time_interpolation=time)


def by_torch(model: nn.Module, state: dict[str, Tensor]) -> None:
    model.load_state_dict(state)


def by_mmengine(model: nn.Module, state: dict[str, Tensor]) -> None:
    load_state_dict(model, state, strict=False)  # as `load_from` does: it would only warn


@pytest.mark.parametrize('load', [by_torch, by_mmengine])
@pytest.mark.parametrize('duplicate', [lambda x: x, copy.deepcopy], ids=['model', 'copy'])
def test_tables_of_other_sizes(load: Any, duplicate: Any) -> None:
    released = Model(32, 3).state_dict()
    grid, time = 'backbone.tower.visual.positional_embedding', 'neck.positions'
    with pytest.raises(ValueError, match=rf"{grid} has 16 patch .* 36.*grid_inter.*'bicubic'"):
        load(duplicate(Model(48, 3)), released)
    with pytest.raises(ValueError, match=rf"{time} of the .* 3 frames.*num_frames=6.*'linear'"):
        load(duplicate(Model(32, 6)), released)
    model = duplicate(Model(48, 6, grid='bicubic', time='linear'))
    load(model, released)
    loaded = model.state_dict()
    expected = resample_abs_pos_embed(released[grid][None], [6, 6])[0]
    torch.testing.assert_close(loaded[grid], expected)
    stretched = F.interpolate(released[time].mT, 6, mode='linear', align_corners=False).mT
    torch.testing.assert_close(loaded[time], stretched)
    others = loaded.keys() - {grid, time}
    assert all(torch.equal(loaded[name], released[name]) for name in others)
    assert released[time].shape[1] == 3  # what was given is not changed


def test_mmpretrain_resizes_its_own_table() -> None:
    vit = dict(VIT_TOWER, vit=dict(VIT_TOWER['vit'], img_size=48))
    make(vit).load_state_dict(make(VIT_TOWER).state_dict())


@torch.no_grad()
def test_baseline_is_the_mean_of_frames() -> None:
    xclip, video = make(context=False), clip()
    feature, _ = MeanPool()(xclip(video))
    torch.testing.assert_close(feature, xclip(video).mean(dim=1))
    assert feature.shape == (2, CLIP['embed_dim'])
