"""EVL: its parts by their definitions, a frozen tower without a graph, converter, costs."""

from typing import Any

import pytest
import torch
from helpers.tiny_models import COCA_TOWER, TOWER, VIT_TOWER, shaken
from torch import Tensor

from mmstan.benchmark.measure import count_multiply_adds, count_parameters
from mmstan.methods.evl import EVL
from mmstan.methods.evl import checkpoints as evl
from mmstan.methods.evl.decoder import CrossAttention, NeighbourAttention
from mmstan.models.layers.depthwise_conv import DepthwiseTemporalConv

TOWERS = pytest.mark.parametrize(
    'tower', [TOWER, COCA_TOWER, VIT_TOWER], ids=['clip', 'coca', 'vit']
)


def make(tower: dict[str, Any] = TOWER, **options: Any) -> EVL:
    """An EVL none of whose parameters is zero, so that every path counts."""
    backbone = EVL(tower, **{'layers': 2, 'num_frames': 3, 'image_size': 32, **options})
    shaken(backbone)
    return backbone.eval()


def clip(n: int = 2, t: int = 3, size: int = 32) -> Tensor:
    return torch.randn(n, 3, t, size, size)


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_depthwise_convolution_is_torchs() -> None:
    conv, x = DepthwiseTemporalConv(6), torch.randn(2, 5, 4, 6)
    for s in range(4):
        theirs = torch.nn.Conv1d.forward(conv, x[:, :, s].transpose(1, 2)).transpose(1, 2)
        assert_equal(conv(x)[:, :, s], theirs)


@torch.no_grad()
def test_attention_to_the_neighbours_by_its_definition() -> None:
    n, t, rows, columns, heads, c = 2, 3, 2, 3, 2, 8
    module = NeighbourAttention(c, grid=(rows, columns))
    shaken(module)
    q, k = torch.randn(2, n, t, heads, rows * columns, c // heads)
    expected = torch.zeros(n, t, rows * columns, c)
    for table, step in ((module.previous, -1), (module.next, 1)):
        table = table.unflatten(0, (2 * rows - 1, 2 * columns - 1))
        for i in range(t):
            if not 0 <= i + step < t:
                continue
            for h in range(heads):
                logits = q[:, i, h] @ k[:, i + step, h].transpose(1, 2)
                weights = (logits / (c // heads) ** 0.5).softmax(-1) / heads
                for a in range(rows * columns):
                    for b in range(rows * columns):
                        down = a // columns - b // columns + rows - 1
                        right = a % columns - b % columns + columns - 1
                        expected[:, i, a] += weights[:, a, b, None] * table[down, right]
    assert_equal(module(q, k), expected)


@torch.no_grad()
def test_the_decoder_by_its_definition() -> None:
    backbone, video = make(), clip(1)
    x = backbone.tower.embed(video[0].transpose(0, 1))
    query = backbone.query_token[None]
    for number, block in enumerate(backbone.tower.blocks):
        _, q, k = block.attend_with_queries_keys(x)
        x = block(x)
        if number < 2:
            continue
        layer = backbone.layers[number - 2]
        y = x + layer.conv(x[None])[0] + layer.time_embedding[:, None]
        y[:, 1:] += layer.neighbours(q[None, :, :, 1:], k[None, :, :, 1:])[0]
        y = layer.norm_frames(y).flatten(0, 1)
        attention = layer.attention
        keys, values = attention.key_value(y).chunk(2, dim=-1)
        own = attention.query(layer.norm_query(query))
        heads = []
        for head in (slice(0, 16), slice(16, 32)):
            weights = (own[:, head] @ keys[:, head].T / 4).softmax(-1)
            heads.append(weights @ values[:, head])
        query = query + attention.out(torch.cat(heads, dim=-1))
        query = query + layer.mlp(layer.norm_mlp(query))
    assert_equal(backbone(video)[0], backbone.norm(query))


def test_one_query_reads_out_as_with_keys_and_values() -> None:
    """The same sum and the same gradients, without the products of all tokens."""
    attention = shaken(CrossAttention(32, heads=2, attention_width=24)).double()
    query = torch.randn(2, 1, 32, dtype=torch.double)
    x = torch.randn(2, 50, 32, dtype=torch.double, requires_grad=True)
    outputs, gradients = [], []
    for every_token in (False, True):
        out = attention(query, x, every_token)
        wanted = [x, attention.query.weight, attention.key_value.weight, attention.key_value.bias]
        outputs.append(out)
        gradients.append(torch.autograd.grad(out.square().sum(), wanted))
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-12)
    for short, long in zip(*gradients):
        torch.testing.assert_close(short, long, rtol=0, atol=1e-10)
    less, more = (count_multiply_adds(attention, query, x, every) for every in (False, True))
    assert less.total < 0.5 * more.total
    two = query.repeat(1, 2, 1)  # two queries take the ordinary way
    torch.testing.assert_close(attention(two, x)[:, :1], outputs[0])
    attention.key_value.register_forward_hook(lambda *_: None)  # so does a layer with a hook
    assert torch.equal(attention(query, x), attention(query, x, True))


@TOWERS
def test_a_frozen_tower_makes_no_graph(tower: dict[str, Any]) -> None:
    frozen = dict(tower, frozen=True)
    backbone = make(frozen).train()
    outputs: list[Tensor] = []
    for block in backbone.tower.blocks:
        block.register_forward_hook(lambda _, __, x: outputs.append(x))
    features = backbone(clip())
    assert features.shape == (2, 1, 32) == (2, 1, backbone.out_dim)
    features.square().sum().backward()
    assert len(outputs) == 4 and not any(x.requires_grad for x in outputs)
    assert not backbone.tower.training and backbone.layers.training
    for name, parameter in backbone.named_parameters():
        learns = not name.startswith('tower.')
        assert (parameter.grad is not None and bool(parameter.grad.any())) == learns, name


def test_a_tuned_tower_learns() -> None:
    backbone = make().train()
    backbone(clip()).square().sum().backward()
    idle = {name for name, p in backbone.named_parameters() if p.grad is None}
    unread = {'tower.visual.proj', 'tower.visual.ln_post.weight', 'tower.visual.ln_post.bias'}
    assert idle == unread


@torch.no_grad()
def test_frames_are_seen_in_their_order() -> None:
    backbone, video = make(), clip()
    assert (backbone(video) - backbone(video.flip(2))).abs().max() > 1e-4
    for layer in backbone.layers:  # what is left is a set of tokens
        for parameter in (*layer.conv.parameters(), *layer.neighbours.parameters()):
            parameter.zero_()
        layer.time_embedding.zero_()
    assert_equal(backbone(video), backbone(video.flip(2)))


@torch.no_grad()
def test_the_convolution_over_time_is_no_identity_at_the_start() -> None:
    backbone = EVL(TOWER, layers=1, num_frames=3, image_size=32)
    layer, x = backbone.layers[0], torch.randn(2, 3, 17, 32)
    q, k = torch.randn(2, 2, 3, 2, 16, 16)
    assert_equal(layer.mix_frames(x, q, k), x + layer.conv(x))  # the rest starts at zero
    assert (layer.mix_frames(x, q, k) - x).abs().max() > 0.1
    assert not backbone.query_token.any()


@torch.no_grad()
def test_clips_of_a_batch_do_not_meet() -> None:
    backbone, video = make(), clip(3)
    assert_equal(backbone(video), torch.cat([backbone(one[None]) for one in video]))


@torch.no_grad()
def test_widths_of_the_attention_and_tokens() -> None:
    backbone, video = make(attention_width=24, heads=3), clip()
    assert backbone(video).shape == (2, 1, 32)
    assert backbone.layers[0].attention.key_value.out_features == 48
    x = backbone.tower.embed(video.transpose(1, 2).flatten(0, 1))
    for block in backbone.tower.blocks:
        x = block(x)
    assert_equal(backbone.tokens(video), x.unflatten(0, (2, 3)))


def test_dropout_in_training_alone() -> None:
    backbone, video = make(), clip()
    assert torch.equal(backbone(video), backbone(video))
    backbone.train()
    assert not torch.equal(backbone(video), backbone(video))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(layers=5), 'layers=5: the tower has 4 blocks'),
        (dict(layers=0), 'layers=0'),
        (dict(image_size=36), 'not a multiple of the patch size'),
        (dict(heads=3), 'heads=3 must divide attention_width=32'),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_clips_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match='4 frames, but num_frames=3'):
        make()(clip(t=4))
    with pytest.raises(ValueError, match=r'\(5, 5\) patches, but .* for \(4, 4\).*image_size'):
        make()(clip(size=40))
    with pytest.raises(ValueError, match='FormatShape must be NCTHW'):
        make()(torch.randn(6, 3, 32, 32))


def test_compiles_without_a_graph_break() -> None:
    backbone, video = make(), clip()
    torch._dynamo.reset()
    compiled = torch.compile(backbone, fullgraph=True, backend='eager')
    assert_equal(compiled(video), backbone(video))


def our_state(*, tower: bool) -> dict[str, Tensor]:
    state = {f'backbone.{name}': tensor for name, tensor in make().state_dict().items()}
    state |= {'cls_head.fc_cls.weight': torch.randn(5, 32), 'cls_head.fc_cls.bias': torch.ones(5)}
    return {k: v for k, v in state.items() if tower or not k.startswith('backbone.tower.')}


@pytest.mark.parametrize('tower', [False, True])
def test_checkpoints_there_and_back(tower: bool) -> None:
    state = our_state(tower=tower)
    released = evl.to_released(state)
    assert any(name.startswith('backbone.') for name in released) == tower
    again = evl.from_released({'model': {f'module.{k}': v for k, v in released.items()}})
    unread = {name for name in state if '.ln_post.' in name or name.endswith('visual.proj')}
    assert again.keys() == state.keys() - unread
    assert all(torch.equal(again[name], state[name]) for name in again)
    del released['decoder.cross_attention.1.w2']
    with pytest.raises(ValueError, match=r'1 tensors missing: decoder\.cross_attention\.1\.w2'):
        evl.from_released(released)


@torch.no_grad()
def test_the_bias_of_a_tuned_patch_embedding_goes_into_the_positions() -> None:
    released = evl.to_released(our_state(tower=True))
    released['backbone.patch_embed.proj.bias'] = bias = torch.randn(32)
    backbone = make()
    tower, images = backbone.tower.visual, torch.randn(2, 3, 32, 32)
    ours = {k.removeprefix('backbone.'): v for k, v in evl.from_released(released).items()}
    backbone.load_state_dict(ours, strict=False)
    pixels = images.unfold(2, 8, 8).unfold(3, 8, 8)  # (N, 3, 4, 4, 8, 8)
    pixels = pixels.permute(0, 2, 3, 1, 4, 5).reshape(2, 16, -1)
    patches = pixels @ released['backbone.patch_embed.proj.weight'].T + bias
    cls = released['backbone.cls_token'].expand(2, 1, -1)
    x = torch.cat([cls, patches], dim=1) + released['backbone.pos_embed']
    assert_equal(backbone.tower.embed(images), tower.ln_pre(x))


@pytest.mark.parametrize(
    ('model', 'frames', 'macs', 'parameters'),
    [
        ('ViT-B-16', 8, 151.3, 33.18),
        ('ViT-B-16', 16, 303.0, None),
        ('ViT-B-16', 32, 606.5, None),
        ('ViT-B-32', 8, None, 29.74),
        ('ViT-L-14', 8, None, 58.7),
    ],
)
def test_cost(model: str, frames: int, macs: float | None, parameters: float | None) -> None:
    with torch.device('meta'):
        tower = dict(type='mmstan.ImageTower', model=model, frozen=True)
        backbone = EVL(tower, num_frames=frames)
        video = torch.empty(1, 3, frames, 224, 224)
    if parameters is not None:
        head = 400 * (backbone.out_dim + 1)
        assert (count_parameters(backbone)[1] + head) / 1e6 == pytest.approx(parameters, abs=0.05)
    if macs is not None:
        counted = count_multiply_adds(backbone.run_every_token, video).total
        assert counted / 1e9 == pytest.approx(macs, rel=0.001)
        # Executed: keys and values of all tokens in four layers are not computed.
        saved = 4 * frames * 197 * 2 * 768 * 768 / 1e9
        less = count_multiply_adds(backbone, video).total
        assert less / 1e9 == pytest.approx(macs - saved, rel=0.002)
