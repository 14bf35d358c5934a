"""Maps of every backbone, for texts and for classes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch
from helpers.every_backbone import CASES, SIZE, T
from helpers.scored_models import MODELS_OF_BOTH_TASKS, build
from helpers.tiny_models import TOWER, shaken
from mmaction.registry import MODELS
from torch import Tensor, nn

from mmstan.models.layers.attention import compute_attention_weights
from mmstan.models.towers import Block
from mmstan.visualization import (
    METHODS,
    class_score,
    compute_maps,
    compute_time_matrix,
    find_layer,
    pair_score,
    plain_pass,
    record_attention,
    record_norm,
    record_output,
)

FROZEN = dict(TOWER, frozen=True)
GRADCAMS = METHODS[:3]
ROWS = COLUMNS = SIZE // 8


def make_score(model: Any, clip: Tensor) -> Callable[[], Tensor]:
    if hasattr(model, 'similarity'):
        return lambda: pair_score(model, clip, 'a red ball moves', against='a dog')
    return lambda: class_score(model, clip, labels=[1])


def read_state(model: nn.Module) -> list[Any]:
    """All that a pass must leave as it was."""
    hooks = [len(m._forward_hooks) for m in model.modules()]
    own = [sorted(vars(m)) for m in model.modules()]
    modes = [(m.training, getattr(m, 'checkpointing', None)) for m in model.modules()]
    parameters = [(p.requires_grad, p.grad) for p in model.parameters()]
    return [hooks, own, modes, parameters]


@pytest.mark.parametrize('name', MODELS_OF_BOTH_TASKS)
def test_every_backbone(name: str) -> None:
    model, clip = build(name), torch.randn(1, 3, T, SIZE, SIZE)
    # Modes and parameters that differ must differ afterwards, too.
    model.backbone.tower.blocks[0].train()
    next(model.backbone.tower.parameters()).requires_grad_(False)
    before, score = read_state(model), make_score(model, clip)
    with plain_pass(model):
        plain = float(score().detach())
    looked = 0
    for layer in model.backbone.main_layers() + ['tower.3', 'tower.4']:
        found = find_layer(model.backbone, layer)
        methods = METHODS if found.inside else GRADCAMS
        value, maps = compute_maps(model, clip, found, methods, score)
        assert value == pytest.approx(plain, rel=1e-5, abs=1e-5)
        frames = T // 2 if name.startswith('dist') and 'temporal' not in layer else T
        for method in methods:
            assert maps[method].shape == (frames, ROWS, COLUMNS)
            assert maps[method].isfinite().all() and (maps[method] >= 0).all()
            looked += bool(maps[method].any())
        assert list(maps) == list(methods)
        if found.inside:
            assert (maps['attention'] > 0).all()
    # A map may be cut off wholly; with these weights few are.
    assert looked >= 8
    assert read_state(model) == before


@pytest.mark.parametrize('name', ['stan, retrieval', 'xclip without context, recognition'])
def test_nothing_is_left_behind_by_a_pass_that_raises(name: str) -> None:
    model, clip = build(name).train(), torch.randn(1, 3, T, SIZE, SIZE)
    model.backbone.checkpointing = True
    before = read_state(model)
    layer = find_layer(model.backbone, 'tower.4')

    def fail() -> Tensor:
        assert not model.training and not model.backbone.checkpointing
        model.backbone(clip)
        raise RuntimeError('no score')

    for method in ('gradcam', 'attention'):
        with pytest.raises(RuntimeError, match='no score'):
            compute_maps(model, clip, layer, [method], fail)
        assert read_state(model) == before
    model.backbone.checkpointing = False


@pytest.mark.parametrize('name', ['stan, retrieval', 'xclip without context, retrieval'])
def test_checkpointing_does_not_count(name: str) -> None:
    model, clip = build(name), torch.randn(1, 3, T, SIZE, SIZE)
    layer, score = find_layer(model.backbone, 'tower.3'), make_score(model, clip)
    maps = compute_maps(model, clip, layer, METHODS, score).maps
    model.backbone.checkpointing = True
    again = compute_maps(model, clip, layer, METHODS, score).maps
    assert model.backbone.checkpointing
    model.backbone.checkpointing = False
    for method in METHODS:
        assert again[method].equal(maps[method])


@pytest.mark.parametrize(
    'name', ['stan, retrieval', 'stan joint, retrieval', 'xclip without context, retrieval']
)
@pytest.mark.parametrize('frames', [1, 3])
def test_grids_that_are_not_square_and_single_frames(name: str, frames: int) -> None:
    model, clip = build(name), torch.randn(1, 3, frames, 32, 48)
    for layer in model.backbone.main_layers():
        found = find_layer(model.backbone, layer)
        maps = compute_maps(model, clip, found, METHODS, make_score(model, clip)).maps
        assert {x.shape for x in maps.values()} == {(frames, 4, 6)}


def test_tokens_are_in_their_places() -> None:
    """Frame by frame, row by row, without the class token and without X-CLIP's message."""
    model, clip = build('xclip without context, retrieval'), torch.randn(1, 3, 3, 32, 48)
    block = model.backbone.tower.blocks[3]
    with plain_pass(model), record_attention(block) as record:
        make_score(model, clip)()
    row = record.take('it')[:, :, 0].mean(dim=1)  # (T, 1 + L + 1)
    layer = find_layer(model.backbone, 'tower.4')
    found = compute_maps(model, clip, layer, ['attention'], make_score(model, clip))
    torch.testing.assert_close(row.sum(dim=1), torch.ones(3))
    torch.testing.assert_close(found.maps['attention'].flatten(1), row[:, 1:-1])
    assert row.shape == (3, 26)


def build_backbone(name: str) -> Any:
    """A module with a backbone in float64, and a score of its features."""
    parts: dict[str, dict[str, Any]] = dict(
        clip=dict(type='mmstan.FrameEncoder'),
        stan=dict(type='mmstan.STAN', levels=(2, None, 4)),
        xclip=dict(type='mmstan.XCLIP', context=False),
        dist=dict(type='mmstan.DiST', num_frames=2, width=16, temporal_width=8, tower=FROZEN),
    )
    torch.manual_seed(0)
    model = nn.Module()
    model.backbone = shaken(MODELS.build(dict(tower=TOWER) | parts[name])).double().eval()
    return model


@pytest.mark.parametrize('name', ['clip', 'stan', 'xclip', 'dist'])
def test_gradients_are_finite_differences(name: str) -> None:
    """The sum of tokens times gradient is the change of the score with the tokens' length."""
    model, clip = build_backbone(name), torch.randn(1, 3, 4, 16, 24, dtype=torch.float64)
    direction = torch.randn(model.backbone.out_dim, dtype=torch.float64)

    def score() -> Tensor:
        return torch.cosine_similarity(
            model.backbone(clip).flatten(0, -2).mean(0), direction, dim=0
        )

    for layer in model.backbone.named_layers():
        found = find_layer(model.backbone, layer)
        module: Any = found.module
        watch = record_norm(module) if found.inside else record_output(module)
        with plain_pass(model), watch as record:
            value = score()
            tokens = record.take(layer)
            (gradient,) = torch.autograd.grad(value, tokens)
        watched = module.attention_norm if found.inside else module
        with pinned_blocks(model.backbone, layer, score):
            slope = compute_difference(watched, score)
        expected = float((gradient * tokens).sum().detach())
        assert slope == pytest.approx(expected, rel=1e-5, abs=1e-10)


@contextmanager
def pinned_blocks(backbone: Any, layer: str, score: Callable[[], Tensor]) -> Iterator[None]:
    """Within, the blocks behind one of DiST's tower give what they gave.

    They have no graph, so that the gradient at the block goes through the branch alone.
    """
    kind, _, number = layer.partition('.')
    if backbone.tower_has_graph or kind != 'tower':
        yield
        return
    with ExitStack() as stack:
        for block in backbone.tower.blocks[int(number) :]:
            with record_output(block) as record, torch.no_grad():
                score()
            output = record.take(layer).detach()
            handle = block.register_forward_hook(lambda m, inputs, _, output=output: output)
            stack.callback(handle.remove)
        yield


@torch.no_grad()
def compute_difference(module: nn.Module, score: Callable[[], Tensor], step: float = 1e-5) -> float:
    """The change of a score with the length of a module's output."""
    values = []
    for factor in (1 + step, 1 - step):
        handle = module.register_forward_hook(lambda m, inputs, output, f=factor: f * output)
        values.append(float(score()))
        handle.remove()
    return (values[0] - values[1]) / (2 * step)


def test_a_patch_that_alone_is_read_is_alone_lit() -> None:
    """All blocks give nothing but one, whose values read one channel of one patch of one frame."""
    torch.manual_seed(0)
    model, clip = nn.Module(), torch.zeros(1, 3, 3, 32, 48)
    model.backbone = MODELS.build(dict(type='mmstan.FrameEncoder', tower=TOWER)).eval()
    for block in model.backbone.tower.blocks:
        for projection in (block.attn.out_proj, block.mlp.c_proj):
            nn.init.zeros_(projection.weight)
            nn.init.zeros_(projection.bias)
    attn, width = model.backbone.tower.blocks[2].attn, TOWER['model']['vision_cfg']['width']
    with torch.no_grad():
        attn.in_proj_weight.zero_()  # even attention
        attn.in_proj_bias.zero_()
        attn.in_proj_weight[2 * width, 5] = 1.0  # value 0 is channel 5
        attn.out_proj.weight[0, 0] = 1.0  # and goes to channel 0 of the class token

    def keep_one_token(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        lit = torch.zeros_like(output)
        lit[1, 1 + 2 * 6 + 3, 5] = 1.0  # frame 1, row 2, column 3, behind the class token
        return lit

    handle = model.backbone.tower.blocks[2].ln_1.register_forward_hook(keep_one_token)

    def score() -> Tensor:
        return model.backbone.tower.run_blocks(
            model.backbone.tower.embed(clip.transpose(1, 2).flatten(0, 1))
        )[:, 0, 0].sum()

    layer = find_layer(model.backbone, 'tower.3')
    for method in GRADCAMS:
        lit = compute_maps(model, clip, layer, [method], score).maps[method]
        assert lit.nonzero().tolist() == [[1, 2, 3]]
    handle.remove()


@pytest.mark.parametrize(
    ('name', 'layers'),
    [
        ('stan, retrieval', ['time.1', 'time.2']),
        ('stan with level projections, retrieval', ['time.1.1', 'time.2.2']),
        ('xclip, prompted names', ['message.2', 'message.4']),
        ('divided space-time, recognition', ['time.1', 'time.4']),
    ],
)
def test_who_hears_whom(name: str, layers: list[str]) -> None:
    model, clip = build(name), torch.randn(1, 3, T, SIZE, SIZE)
    before, score = read_state(model), make_score(model, clip)
    for layer in layers:
        _, matrix = compute_time_matrix(model, find_layer(model.backbone, layer), score)
        assert matrix.shape == (T, T)
        torch.testing.assert_close(matrix.sum(dim=1), torch.ones(T))
        assert matrix.std() > 0
    assert read_state(model) == before


@torch.no_grad()
def test_frames_hear_by_queries_and_keys() -> None:
    """Against PyTorch's own attention of X-CLIP's messages."""
    model, clip = build('xclip, prompted names'), torch.randn(1, 3, T, SIZE, SIZE)
    seen: list[Tensor] = []
    module = model.backbone.messages[1]
    handle = module.norm.register_forward_hook(lambda m, inputs, output: seen.append(output))
    _, matrix = compute_time_matrix(
        model, find_layer(model.backbone, 'message.2'), make_score(model, clip)
    )
    handle.remove()
    _, weights = module.attn(seen[0], seen[0], seen[0], need_weights=True)
    torch.testing.assert_close(matrix, weights[0])


def test_unknown_layers() -> None:
    backbone = build('stan, retrieval').backbone
    with pytest.raises(ValueError) as error:
        find_layer(backbone, 'branch.3')
    assert str(error.value) == (
        '--layer branch.3: STAN has tower.1, tower.2, tower.3, tower.4, branch.1, branch.2, '
        'time.1, time.2; or give the name of one of its modules'
    )
    assert find_layer(backbone, 'tower.visual.ln_pre').module is backbone.tower.visual.ln_pre
    several = build('stan with level projections, retrieval').backbone
    assert find_layer(several, 'branch.2.1').module is several.branches[1].layers[0].block
    with pytest.raises(ValueError, match=r'^--layer branch\.1: STAN has .* branch\.1\.1, '):
        find_layer(several, 'branch.1')


@pytest.mark.parametrize(
    ('name', 'layer', 'method', 'problem'),
    [
        (
            'dist, recognition',
            'tower.4',
            'attention-gradient',
            r'^layer tower\.4 gets no gradient of the score: it runs without a graph \(DiST\'s '
            r'tower\) or nothing behind reads its patches; choose one of tower\.1, .*integration',
        ),
        ('stan of cross-frame modules, retrieval', 'branch.1', 'gradcam', r'^layer branch\.1 gets'),
        ('dist, recognition', 'temporal.4', 'attention', r'^layer temporal\.4 is no block, so it'),
        (
            'clip, retrieval',
            'tower.visual.ln_post',
            'gradcam',
            r'^a layer gives \(1, 4, 1, 32\)',
        ),
        (
            'clip, retrieval',
            'tower.visual.transformer',
            'gradcam',
            r'^layer tower\.visual\.transformer does not run in this pass, and a map needs it once',
        ),
        (
            'stan, retrieval',
            'branches.0.layers.0.block.ln_2',
            'gradcam',
            r'^layer branches\.0\.layers\.0\.block\.ln_2 runs 2 times in this pass',
        ),
        ('clip, retrieval', 'tower.1', 'rollout', r"^method='rollout' must be one of 'gradcam', "),
    ],
)
def test_maps_that_there_are_not(name: str, layer: str, method: Any, problem: str) -> None:
    model, clip = build(name), torch.randn(1, 3, T, SIZE, SIZE)
    found = find_layer(model.backbone, layer)
    with pytest.raises(ValueError, match=problem):
        compute_maps(model, clip, found, [method], make_score(model, clip))


def test_frames_of_another_size_than_the_patches() -> None:
    model, clip = build('clip, retrieval'), torch.randn(1, 3, 2, 30, 32)
    layer = find_layer(model.backbone, 'tower.4')
    with pytest.raises(ValueError, match=r'^image size 30x32 is not a multiple of the patch size'):
        compute_maps(model, clip, layer, ['gradcam'], make_score(model, clip))


@pytest.mark.parametrize('name', CASES)
def test_the_main_layers_of_every_backbone_are_there(name: str) -> None:
    backbone = MODELS.build(CASES[name])
    main = backbone.main_layers()
    assert main and [find_layer(backbone, layer).name for layer in main] == main


def test_the_tower_of_dist_alone() -> None:
    off = dict(temporal_block=None, integration_to_temporal=None, temporal_to_integration=None)
    backbone = MODELS.build(dict(CASES['dist'], integration=False, **off))
    assert backbone.main_layers() == ['tower.4']


def test_maps_of_bfloat16_are_float32() -> None:
    """Of DiST's tower alone; NumPy, which draws them, has no bfloat16."""
    model, clip = build('dist, recognition'), torch.randn(1, 3, T, SIZE, SIZE)
    layer, score = find_layer(model.backbone, 'tower.2'), make_score(model, clip)
    methods = ['elementwise', 'attention']
    plain = compute_maps(model, clip, layer, methods, score).maps
    model.backbone.tower_dtype = 'bfloat16'
    maps = compute_maps(model, clip, layer, methods, score).maps
    for method in methods:
        assert maps[method].dtype == torch.float32
        most = float(plain[method].max())
        torch.testing.assert_close(maps[method], plain[method], rtol=0.1, atol=0.1 * most)


def test_the_tower_of_dist_is_watched_behind_its_blocks() -> None:
    model, clip = build('dist, recognition'), torch.randn(1, 3, T, SIZE, SIZE)
    layer = find_layer(model.backbone, 'tower.2')
    assert not layer.inside
    maps = compute_maps(
        model, clip, layer, ['elementwise', 'attention'], make_score(model, clip)
    ).maps
    assert maps['elementwise'].any() and maps['attention'].shape == (T // 2, ROWS, COLUMNS)


@torch.no_grad()
@pytest.mark.parametrize('name', ['stan, retrieval', 'stan joint, retrieval', 'evl, linear head'])
def test_the_plain_softmax_gives_the_same_features(name: str) -> None:
    model, clip = build(name), torch.randn(1, 3, T, SIZE, SIZE)
    fused = model.backbone(clip)
    for block in (m for m in model.backbone.modules() if isinstance(m, Block)):
        with record_attention(block) as record:
            torch.testing.assert_close(model.backbone(clip), fused, rtol=1e-6, atol=1e-6)
        weights = record.take('it')
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))


def test_weights_of_even_queries_are_even() -> None:
    weights = compute_attention_weights(torch.zeros(1, 2, 3, 4), torch.randn(1, 2, 5, 4))
    torch.testing.assert_close(weights, torch.full((1, 2, 3, 5), 0.2))
