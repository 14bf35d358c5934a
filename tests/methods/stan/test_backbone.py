"""STAN: equal to its definition, its variants, its invariances, its fast paths."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.tiny_models import CLIP, COCA_TOWER, TOWER, VIT_TOWER
from torch import Tensor

from mmstan.methods.stan import STAN
from mmstan.methods.stan.branch import choose_copied_blocks
from mmstan.models import FrameEncoder, MeanPool

CONV = dict(type='mmstan.TemporalConv')
DENSE = dict(type='mmstan.DenseTemporalConv')
VARIANTS: dict[str, dict[str, Any]] = {
    'default': {},
    'conv': dict(cross_frame=CONV),
    'dense conv': dict(cross_frame=DENSE),
    'no cross-frame': dict(cross_frame=None),
    'no intra-frame': dict(intra_frame='none'),
    'joint': dict(cross_frame=None, intra_frame='joint'),
    'posterior': dict(levels=(4, None, None)),
    'single level': dict(levels=(2, None, None)),
    'range': dict(levels=(1, 2)),
    'interval': dict(levels=(2, 4)),
    'one layer': dict(levels=(4,)),
    'networks': dict(networks=2),
    'projection': dict(level_projection=True),
    'as written': dict(first_class='mean', own_positions=True, intra_first=True),
    'BT-Adapter': dict(class_token='own', gates=True),
    'dropout': dict(dropout=0.1),
    'checkpointing': dict(checkpointing=True),
}


def make(tower: dict[str, Any] = TOWER, **options: Any) -> STAN:
    """A STAN whose zero-initialised parameters are random, so that every path counts."""
    backbone = STAN(tower, **{'levels': (2, 3, 4), 'drop_path': 0.0, **options})
    backbone.init_weights()
    with torch.no_grad():
        for name, parameter in backbone.branches.named_parameters():
            # A gate's factor would make 0 or 1 of more: neither has a gradient.
            size = 1e-5 if 'gate' in name else 0.05
            parameter += size * torch.randn_like(parameter)
    return backbone.eval()


def clip(n: int = 2, t: int = 3, size: int = 32) -> Tensor:
    return torch.randn(n, 3, t, size, size)


def is_of_patches(name: str) -> bool:
    return 'cross_frame' in name or 'time_embedding' in name


def by_definition(stan: STAN, video: Tensor) -> Tensor:
    """The computation step by step, as released and as the paper writes it, N = 1."""
    tower, branch = stan.tower, stan.branches[0]
    t = video.shape[2]
    x = tower.embed(video[0].transpose(0, 1))  # (T, 1+L, C)
    positions = tower.positions((4, 4))
    cls = patches = None
    for number, block in enumerate(tower.blocks, start=1):
        x = block(x)
        if number not in branch.levels:
            continue
        k = branch.levels.index(number)
        if k == 0:
            cls = x[:, 0].mean(0)  # (C)
            if branch.first_class == 'embedded':
                cls = (cls + tower.class_embedding + positions[0]) / 2
            space = positions[1:] if branch.positions is None else branch.positions
            patches = x[:, 1:] + space + branch.time_embedding[:t, None]
        else:
            cls, patches = cls + x[:, 0].mean(0), patches + x[:, 1:]
        layer = branch.layers[k]
        if not layer.intra_first:
            patches = see_across(layer.cross_frame, patches)
        frames = torch.cat([cls.expand(t, 1, -1), patches], dim=1)
        normed = layer.block.ln_1(frames)
        update, _ = layer.block.attn(normed, normed, normed, need_weights=False)
        cls, patches = cls + update[:, 0].mean(0), patches + update[:, 1:]
        cls = cls + layer.block.mlp(layer.block.ln_2(cls))
        patches = patches + layer.block.mlp(layer.block.ln_2(patches))
        if layer.intra_first:
            patches = see_across(layer.cross_frame, patches)
    out = torch.cat([(x[:, 0] + cls)[:, None], x[:, 1:] + patches], dim=1)
    return out[None]


def see_across(temporal: Any, patches: Tensor) -> Tensor:
    sequences = temporal.norm(patches).transpose(0, 1)  # (L, T, C)
    update, _ = temporal.attn(sequences, sequences, sequences, need_weights=False)
    return patches + temporal.temporal_fc(update).transpose(0, 1)


@pytest.mark.parametrize(
    ('t', 'options'),
    [
        (1, {}),
        (3, {}),
        (7, {}),
        (3, dict(first_class='mean')),
        (3, dict(own_positions=True)),
        (3, dict(intra_first=True)),
        (3, dict(first_class='mean', own_positions=True, intra_first=True)),
    ],
)
def test_equals_the_definition(t: int, options: dict[str, Any]) -> None:
    stan, video = make(**options), clip(1, t)
    with torch.no_grad():
        tokens = by_definition(stan, video)
        torch.testing.assert_close(stan.tokens(video), tokens, atol=1e-5, rtol=1e-5)
        features = stan.tower.project(tokens[0])[None]
        torch.testing.assert_close(stan(video), features, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('options', VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize('tower', [TOWER, COCA_TOWER, VIT_TOWER], ids=['clip', 'coca', 'vit'])
def test_variants(options: dict[str, Any], tower: dict[str, Any]) -> None:
    stan, video = make(tower, **options), clip()
    stan.train()
    features = stan(video)
    assert features.shape == (2, 3, stan.out_dim)
    features.square().sum().backward()
    without = {name for name, p in stan.named_parameters() if p.grad is None or not p.grad.any()}
    # With no intra-frame module the class token never sees the patches, which are all that times
    # and cross-frame modules change; CoCa's pooler reads those.
    unread = options == dict(intra_frame='none')
    # The last cross-frame module behind the last intra-frame one changes patches alone, too.
    unread_last = 'intra_first' in options
    assert without == {
        name
        for name, _ in stan.named_parameters()
        if (unread and is_of_patches(name)) or (unread_last and 'layers.2.cross_frame' in name)
        if not stan.tower.reads_patches
    }
    stan.eval()
    with torch.no_grad():  # the rows that nobody reads are left out in one, computed in the other
        tokens = stan.tokens(video)
        assert tokens.shape == (2, 3, 17, 32)
        whole = stan.tower.project(tokens.flatten(0, 1)).unflatten(0, (2, 3))
        torch.testing.assert_close(stan(video), whole, atol=1e-5, rtol=1e-5)
    again = STAN(tower, **{'levels': (2, 3, 4), 'drop_path': 0.0, **options}).eval()
    again.load_state_dict(stan.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again(video), stan(video))


@pytest.mark.parametrize('options', [{}, dict(networks=2), dict(intra_frame='none')])
def test_tokens_are_the_sum_of_the_parts(options: dict[str, Any]) -> None:
    stan, video = make(**options), clip()
    with torch.no_grad():
        tower, branch = stan.parts(video)
        assert tower.shape == branch.shape == (2, 3, 17, 32)
        assert torch.equal(stan.tokens(video), tower + branch)
        alone = FrameEncoder(TOWER)
        alone.tower.load_state_dict(stan.tower.state_dict())
        torch.testing.assert_close(tower, alone.eval().tokens(video))
    # One class token a clip, which all frames get.
    assert torch.equal(branch[:, :1, 0].expand(-1, 3, -1), branch[:, :, 0])


def test_gates_start_as_averages_and_mix_channel_by_channel() -> None:
    stan, video = STAN(TOWER, levels=(2, 3, 4), gates=True).eval(), clip(1)
    with torch.no_grad():
        tower, branch = stan.parts(video)
        torch.testing.assert_close(stan.tokens(video), (tower + branch) / 2)
        gates = stan.branches[0]
        # sigmoid(10000 * 0.01) is 1: the tower's channel. At -0.01 it is 0: the branch's.
        gates.output_gate[0], gates.output_gate[1] = 0.01, -0.01
        tokens = stan.tokens(video)
        torch.testing.assert_close(tokens[..., 0], tower[..., 0])
        torch.testing.assert_close(tokens[..., 1], branch[..., 1])
        # sigmoid(100 * -1) is 0: no layer but the first one hears the tower.
        gates.level_gate.fill_(-1)
        deaf = stan.parts(video)[1]
        without = STAN(TOWER, levels=(2, None, None), gates=True).eval()
        state = {k: v for k, v in stan.state_dict().items() if '.gate' not in k}
        without.load_state_dict(state)
        torch.testing.assert_close(without.parts(video)[1], deaf)


def test_own_class_token_replaces_the_tower_s() -> None:
    shared, own = make(), STAN(TOWER, levels=(2, 3, 4), class_token='own').eval()
    state = shared.state_dict()
    assert not own.branches[0].class_token.any()
    own.load_state_dict({**state, 'branches.0.class_token': shared.tower.class_embedding})
    video = clip()
    with torch.no_grad():
        torch.testing.assert_close(own(video), shared(video))
        own.branches[0].class_token.zero_()
        assert not torch.allclose(own(video), shared(video))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(class_token='mine'), "class_token='mine'"),
        (
            dict(class_token='own', first_class='mean'),
            "class_token='own' is read with first_class='embedded' alone, not 'mean'",
        ),
        (dict(networks=2, gates=True), 'networks=2: .* which has one network'),
    ],
)
def test_bt_adapter_s_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        STAN(TOWER, levels=(2, 3, 4), **options)


@pytest.mark.parametrize('cross_frame', [dict(type='mmstan.TemporalAttention'), CONV, DENSE])
def test_starts_as_without_cross_frame_module(cross_frame: dict[str, Any]) -> None:
    stan = STAN(TOWER, levels=(2, 3, 4), cross_frame=cross_frame)
    without = STAN(TOWER, levels=(2, 3, 4), cross_frame=None)
    stan.init_weights()
    state = {k: v for k, v in stan.state_dict().items() if 'cross_frame' not in k}
    without.load_state_dict(state)
    video = clip()
    with torch.no_grad():
        assert torch.equal(stan.eval()(video), without.eval()(video))


def test_clips_of_a_batch_do_not_meet() -> None:
    stan, video = make(), clip(3)
    with torch.no_grad():
        alone = torch.cat([stan(one[None]) for one in video])
        torch.testing.assert_close(stan(video), alone, atol=1e-5, rtol=1e-5)


def test_order_matters_through_the_time_table_alone() -> None:
    stan, video = make(), clip(2, 5)
    order = torch.tensor([3, 0, 4, 1, 2])
    with torch.no_grad():
        assert not torch.allclose(stan(video)[:, order], stan(video[:, :, order]), atol=1e-4)
        stan.branches[0].time_embedding.zero_()
        torch.testing.assert_close(stan(video)[:, order], stan(video[:, :, order]))


def test_the_tower_is_not_changed() -> None:
    stan, video = make(), clip()
    encoder = FrameEncoder(TOWER).eval()
    encoder.tower.load_state_dict(stan.tower.state_dict())
    with torch.no_grad():
        for parameter in stan.branches.parameters():
            parameter.zero_()
        for branch in stan.branches:  # what is left of a zero branch: sums of the tower's tokens
            branch.levels = (4, *(None for _ in branch.levels[1:]))
        x = stan.tokens(video) - encoder.tokens(video)
        positions = stan.tower.positions((4, 4))
        torch.testing.assert_close(x[:, :, 1:], encoder.tokens(video)[:, :, 1:] + positions[1:])


def test_copies_start_from_the_loaded_tower_and_learn_beside_a_frozen_one() -> None:
    stan = STAN(dict(TOWER, frozen=True), levels=(2, 3, 4))
    with torch.no_grad():
        for parameter in stan.tower.parameters():
            parameter.normal_(std=0.1)
    stan.init_weights()
    for layer, number in zip(stan.branches[0].layers, (2, 3, 4)):
        copied, source = layer.block.state_dict(), stan.tower.blocks[number - 1].state_dict()
        assert all(torch.equal(copied[name], source[name]) for name in source)
    stan.train()
    stan(clip()).sum().backward()
    assert all(p.requires_grad for p in stan.branches.parameters())
    assert all(p.grad is None for p in stan.tower.parameters())
    assert not stan.tower.training
    assert stan.branches[0].layers[0].block.training


@pytest.mark.parametrize(
    ('levels', 'depth', 'copies'),
    [
        ((9, 10, 11, 12), 12, (9, 10, 11, 12)),
        ((6, 8, 10, 12), 12, (6, 8, 10, 12)),
        ((12, None, None, None), 12, (9, 10, 11, 12)),
        ((9, None, None, None), 12, (9, 10, 11, 12)),
        ((11, None, None, None), 12, (9, 10, 11, 12)),
        ((1, 2, 3, 4), 12, (1, 2, 3, 4)),
    ],
)
def test_copied_blocks(levels: tuple, depth: int, copies: tuple) -> None:
    assert choose_copied_blocks(levels, depth) == copies


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(levels=3), 'a sequence of tower blocks'),
        (dict(levels=()), 'the first layer reads a tower block'),
        (dict(levels=(None, 2)), 'the first layer reads a tower block'),
        (dict(levels=(3, 2)), 'the blocks rise'),
        (dict(levels=(3, 3)), 'the blocks rise'),
        (dict(levels=(4, 5)), 'the tower has the blocks 1 to 4'),
        (dict(levels=(0, 1)), 'the tower has the blocks 1 to 4'),
        (dict(levels=(4, None, None, None, None)), 'more layers than the tower has blocks'),
        (dict(intra_frame='joint'), 'goes with cross_frame=None'),
        (dict(intra_frame='none', cross_frame=None), 'leave the branch empty'),
        (dict(intra_frame='both'), "must be one of 'frame', 'joint', 'none'"),
        (dict(levels=(4, None), level_projection=True), 'adds no second level'),
        (dict(networks=0), 'networks=0'),
        (dict(first_class='sum'), "first_class='sum' must be one of 'embedded', 'mean'"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        STAN(TOWER, **{'levels': (2, 3, 4), **options})


def test_more_frames_than_the_time_table_holds() -> None:
    with pytest.raises(ValueError, match=r'6 frames.*max_frames=4.*time_interpolation'):
        make(max_frames=4)(clip(1, 6))
    stan = make(max_frames=4, time_interpolation='linear')
    assert stan(clip(1, 6)).shape == (1, 6, 16)
    table = stan.branches[0].time_embedding
    stretched = F.interpolate(table.T[None], 6, mode='linear', align_corners=False)[0].T
    assert torch.equal(stan.branches[0].times(6), stretched)
    assert torch.equal(stan.branches[0].times(3), table[:3])


@pytest.mark.parametrize('size', [(32, 32), (48, 32), (64, 64)])
@pytest.mark.parametrize('own_positions', [False, True])
def test_other_image_sizes(size: tuple[int, int], own_positions: bool) -> None:
    stan, video = make(own_positions=own_positions), torch.randn(1, 3, 2, *size)
    assert stan(video).shape == (1, 2, 16)
    with torch.no_grad():  # the branch's own table is the tower's, at every size
        shared = make()
        shared.load_state_dict(stan.state_dict(), strict=False)
        if own_positions:
            stan.branches[0].positions.copy_(stan.tower.positions((4, 4))[1:])
        torch.testing.assert_close(stan(video), shared(video), atol=1e-4, rtol=1e-4)


def test_4d_input_is_refused() -> None:
    with pytest.raises(ValueError, match='FormatShape must be NCTHW'):
        make()(torch.randn(8, 3, 32, 32))


@pytest.mark.parametrize('options', VARIANTS.values(), ids=VARIANTS)
def test_compiles_without_a_graph_break(options: dict[str, Any]) -> None:
    stan, video = make(**options), clip()
    torch._dynamo.reset()
    compiled = torch.compile(stan, fullgraph=True, backend='eager')
    torch.testing.assert_close(compiled(video), stan(video))


def test_backbone_and_neck_compile_together() -> None:
    model, video = torch.nn.Sequential(make(), MeanPool()), clip()
    torch._dynamo.reset()
    features, _ = torch.compile(model, fullgraph=True, backend='eager')(video)
    torch.testing.assert_close(features, model[0](video).mean(dim=1))


def test_checkpointing_changes_nothing() -> None:
    plain, video = make(drop_path=0.5, dropout=0.2).train(), clip()
    saving = STAN(TOWER, levels=(2, 3, 4), drop_path=0.5, dropout=0.2, checkpointing=True).train()
    saving.load_state_dict(plain.state_dict())
    for stan in (plain, saving):
        torch.manual_seed(0)
        stan(video).square().sum().backward()
    for (name, a), b in zip(plain.named_parameters(), saving.parameters()):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


def test_bf16_autocast() -> None:
    stan, video = make(), clip()
    with torch.no_grad():
        full = stan(video)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            half = stan(video)
    assert half.isfinite().all()
    assert F.cosine_similarity(half.float(), full, dim=-1).min() > 0.99


def test_drop_path_drops_whole_sequences() -> None:
    stan = STAN(TOWER, levels=(2, 3, 4), drop_path=0.9)
    rates = [layer.drop_path.drop_prob for layer in stan.branches[0].layers]
    assert rates == pytest.approx([0.0, 0.45, 0.9])
    layer = stan.branches[0].layers[2].train()
    torch.nn.init.normal_(layer.cross_frame.temporal_fc.weight)
    update = layer.cross_frame(torch.randn(4, 3, 16, 32), (4, 4))  # (N, T, L, C)
    dropped = (update == 0).all(dim=-1)  # temporal_fc's bias is zero
    assert 0 < dropped.float().mean() < 1
    assert torch.equal(dropped.all(dim=1), dropped.any(dim=1))  # all T tokens of a location


def test_sizes_come_from_the_model_name() -> None:
    with torch.device('meta'):
        stan = STAN(dict(type='mmstan.ImageTower', model='ViT-B-16'))
    assert sum(p.numel() for p in stan.parameters()) == pytest.approx(126.4e6, rel=5e-4)
    assert CLIP['embed_dim'] == make().out_dim
