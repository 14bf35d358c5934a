"""X-CLIP's prompting and head: its definition, its tiles, its precision, in a stock recognizer."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.tiny_models import WORDS, shaken
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import ConfigDict
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmstan.benchmark.measure import count_parameters
from mmstan.methods.xclip import (
    XCLIP,
    MultiFrameIntegration,
    PromptedTextHead,
    VideoPrompting,
    video_prompting,
)

NAMES = ['riding a bike', 'dancing', 'playing the trumpet']
D = 16
SEED = torch.Generator().manual_seed(0)
FEATURES = torch.randn(2, D, generator=SEED), torch.randn(2, 6, D, generator=SEED)


def build(frozen: bool | None = None, **arguments: Any) -> PromptedTextHead:
    tower = dict(type='mmstan.TextTower', model=WORDS)
    tower |= {} if frozen is None else dict(frozen=frozen)
    cfg = dict(type='mmstan.PromptedTextHead', class_names=NAMES, text_tower=tower, heads=2)
    return shaken(MODELS.build(cfg | arguments))


def make(heads: int = 2, **options: Any) -> VideoPrompting:
    return shaken(VideoPrompting(D, heads=heads, **options))


def inputs(k: int = 7, n: int = 5, patches: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(k, D), torch.randn(n, D), 3 * torch.randn(n, patches, D)


def by_definition(prompting: VideoPrompting, text: Tensor, context: Tensor) -> Tensor:
    """One class (D) and one video's patches (L, D) -> the prompted class (D)."""
    patches, x = prompting.norm(context), text
    for layer in prompting.layers:
        heads, k_v = layer.heads, layer.key_value.weight
        q = (layer.query.weight @ layer.ln_1(x)).view(heads, -1)  # (heads, D/heads)
        k = (patches @ k_v[:D].T).unflatten(-1, (heads, -1))  # (L, heads, D/heads)
        v = (patches @ k_v[D:].T).unflatten(-1, (heads, -1))
        weights = (torch.einsum('hd,lhd->lh', q, k) / q.shape[-1] ** 0.5).softmax(dim=0)
        x = x + layer.out(torch.einsum('lh,lhd->hd', weights, v).flatten())
        h = layer.up(layer.ln_2(x))
        x = x + layer.down(h * torch.sigmoid(1.702 * h))
    return text + prompting.alpha * x


# --- prompting ---


@torch.no_grad()
@pytest.mark.parametrize(('heads', 'layers'), [(1, 1), (2, 2), (4, 3)])
def test_prompting_equals_the_definition(heads: int, layers: int) -> None:
    prompting, (texts, video, context) = make(heads, layers=layers), inputs()
    expected = torch.stack(
        [torch.stack([by_definition(prompting, c, patches) for c in texts]) for patches in context]
    )
    torch.testing.assert_close(prompting.prompted(texts, context), expected, atol=1e-5, rtol=1e-5)
    cosines = F.cosine_similarity(video[:, None], expected, dim=-1)
    torch.testing.assert_close(prompting(texts, video, context), cosines, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('elements', [1, 300, 900])
def test_tiles(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward and backward equal those of the whole; 7 x 5 pairs give uneven tiles."""
    prompting = make()

    def run() -> tuple[Tensor, tuple[Tensor, ...]]:
        torch.manual_seed(1)
        leaves = [x.requires_grad_() for x in inputs()]
        cosines = prompting(*leaves)
        weighted = (cosines * torch.randn(5, 7)).sum()
        return cosines, torch.autograd.grad(weighted, [*leaves, *prompting.parameters()])

    whole, gradients = run()
    monkeypatch.setitem(video_prompting._ELEMENTS, 'cpu', elements)
    cosines, others = run()
    torch.testing.assert_close(cosines, whole)
    for one, other in zip(others, gradients):
        assert other.any()
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


class Tensors(TorchDispatchMode):
    """The size of the largest tensor that is made."""

    largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for x in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(x, Tensor):
                self.largest = max(self.largest, x.numel())
        return result


@pytest.mark.parametrize('classes', [40, 400])
def test_no_tensor_is_larger_than_a_tile(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """400 classes of 8 videos are 204,800 numbers in the MLP, and no more is alive than of 40."""
    elements = 8000
    monkeypatch.setitem(video_prompting._ELEMENTS, 'cpu', elements)
    prompting = make()
    leaves = [x.requires_grad_() for x in inputs(classes, n=8)]
    with Tensors() as tensors:
        prompting(*leaves).sum().backward()
    assert elements >= tensors.largest > elements // 2


def test_what_fits_into_a_tile_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    prompting, calls = make(), []
    prompting.layers[0].register_forward_hook(lambda *_: calls.append(1))
    prompting(*inputs()).sum().backward()
    assert len(calls) == 1
    monkeypatch.setitem(video_prompting._ELEMENTS, 'cpu', 64 * 7 * 2)  # 7 classes of 2 videos
    prompting(*inputs()).sum().backward()
    assert len(calls) > 3


@torch.no_grad()
def test_only_the_cosine_has_to_be_float32() -> None:
    prompting, (texts, video, context) = make(), inputs()
    exact = prompting(texts, video, context)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = prompting(texts, video.bfloat16(), context.bfloat16())
    assert half.dtype == torch.float32
    assert (half - exact).abs().max() < 0.1
    prompting.alpha.zero_()  # what is left is the cosine with the bare name
    expected = F.normalize(video, dim=-1) @ F.normalize(texts, dim=-1).T
    with torch.autocast('cpu', dtype=torch.bfloat16):
        torch.testing.assert_close(prompting(texts, video, context), expected)


def test_starts_as_released() -> None:
    prompting = VideoPrompting(256, heads=4)
    assert torch.equal(prompting.alpha, torch.full((256,), 0.1))
    for module in prompting.modules():
        if isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.03)
            assert module.bias is None or not module.bias.any()
        elif isinstance(module, nn.LayerNorm):
            assert module.weight.eq(1).all() and not module.bias.any()


def test_compiles_without_a_graph_break() -> None:
    prompting, given = make(), inputs()
    torch._dynamo.reset()
    compiled = torch.compile(prompting, fullgraph=True, backend='eager')
    torch.testing.assert_close(compiled(*given), prompting(*given))


# --- the head ---


def expected_scores(head: PromptedTextHead, x: tuple[Tensor, Tensor], names: list[str]) -> Tensor:
    texts = head.texts.tower(head.texts.tower.tokenize(names)).sentence  # not normalised
    cosine = F.cosine_similarity(x[0][:, None], head.prompting.prompted(texts, x[1]), dim=-1)
    return head.logit_scale.exp() * cosine


@torch.no_grad()
@pytest.mark.parametrize('frozen', [None, True, False])
@pytest.mark.parametrize('mode', [True, False], ids=['train', 'eval'])
def test_scores(frozen: bool | None, mode: bool) -> None:
    head = build(frozen).train(mode)
    modes = {name: module.training for name, module in head.named_modules()}
    scores = head(FEATURES)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, expected_scores(head, FEATURES, NAMES), rtol=1e-5, atol=1e-4)
    assert {name: module.training for name, module in head.named_modules()} == modes
    others = ['cooking', 'swimming in the sea']
    head.class_names = others
    assert head.num_classes == 2
    torch.testing.assert_close(
        head(FEATURES), expected_scores(head, FEATURES, others), rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize('frozen', [None, False])
def test_what_learns(frozen: bool | None) -> None:
    """By default neither the text tower nor the scale, and the names are encoded once."""
    head, calls = build(frozen).train(), []
    head.texts.tower.register_forward_hook(lambda *_: calls.append(1))
    for _ in range(2):
        head(FEATURES)[:, 0].sum().backward()
    assert len(calls) == (1 if frozen is None else 2)
    learning = {name.split('.')[0] for name, p in head.named_parameters() if p.grad is not None}
    wanted = {'prompting'} if frozen is None else {'prompting', 'texts', 'logit_scale'}
    assert learning == wanted
    assert all(p.grad is not None for p in head.parameters() if p.requires_grad)
    fresh = PromptedTextHead(NAMES, dict(type='mmstan.TextTower', model=WORDS), logit_scale=50)
    assert fresh.logit_scale.exp().item() == pytest.approx(50)


@pytest.mark.parametrize(
    ('x', 'message'),
    [
        (torch.zeros(2, D), r'got \(2, 16\); they come from.*XCLIP.*MultiFrameIntegration'),
        ((torch.zeros(2, 3, D), torch.zeros(2, 6, D)), r'got \(2, 3, 16\), \(2, 6, 16\)'),
        ((torch.zeros(2, 8), torch.zeros(2, 6, 8)), r'a video \(N, 16\) and its context'),
    ],
)
def test_features_that_do_not_fit(x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()(x)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(num_classes=400), 'num_classes=400, but class_names=.* has 3 names'),
        (dict(heads=3), 'heads=3 must divide the joint space, 16 wide'),
        (dict(heads=0), 'heads=0 must divide'),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**arguments)


# --- in a stock recognizer ---


def recognizer(**arguments: Any) -> nn.Module:
    cfg = dict(
        type='mmaction.Recognizer3D',
        backbone=dict(type='mmstan.XCLIP', tower=dict(type='mmstan.ImageTower', model=WORDS)),
        neck=dict(type='mmstan.MultiFrameIntegration', width=D, num_frames=2, heads=2),
        cls_head=dict(
            type='mmstan.PromptedTextHead',
            class_names=NAMES,
            heads=2,
            text_tower=dict(type='mmstan.TextTower', model=WORDS),
        ),
        data_preprocessor=dict(type='mmaction.ActionDataPreprocessor', format_shape='NCTHW'),
        **arguments,
    )
    return shaken(MODELS.build(ConfigDict(cfg)))


def batch_of(count: int, views: int) -> dict[str, Any]:
    videos = [torch.randn(views, 3, 2, 32, 32) for _ in range(count)]
    samples = [ActionDataSample().set_gt_label(i) for i in range(count)]
    return dict(inputs=videos, data_samples=samples)


def test_recognizer_trains() -> None:
    model = recognizer().train()
    data = model.data_preprocessor(batch_of(3, 1), training=True)
    losses = model(**data, mode='loss')
    losses['loss_cls'].backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert without == frozen
    assert {name.split('.')[1] for name in frozen} == {'texts', 'logit_scale'}


@torch.no_grad()
def test_many_views_in_parts() -> None:
    """MMAction2 concatenates what the neck gives, value by value."""
    whole, parts = recognizer().eval(), recognizer(test_cfg=dict(max_testing_views=2)).eval()
    parts.load_state_dict(whole.state_dict())
    data = whole.data_preprocessor(batch_of(1, 5))
    one, other = (model(**data, mode='predict')[0].pred_score for model in (whole, parts))
    assert one.shape == (3,)
    torch.testing.assert_close(one, other)
    assert one.sum().item() == pytest.approx(1)


# --- sizes ---


def released(model: str, frames: int) -> nn.Module:
    dim, size = (768 if 'L-14' in model else 512), (336 if model.endswith('-336') else None)
    model = model.removesuffix('-336')
    tower = dict(type='mmstan.ImageTower', model=model, image_size=size)
    text_tower = dict(type='mmstan.TextTower', model=model)
    with torch.device('meta'):
        return nn.ModuleDict(
            dict(
                backbone=XCLIP(tower),
                neck=MultiFrameIntegration(dim, num_frames=frames, heads=dim // 64),
                cls_head=PromptedTextHead(NAMES, text_tower),
            )
        )


@pytest.mark.parametrize(
    ('name', 'frames', 'every', 'learning'),
    [
        ('ViT-B-32', 8, 196.59, 133.16),
        ('ViT-B-16', 8, 194.93, 131.50),
        ('ViT-B-16', 32, 194.94, None),
        ('ViT-L-14', 8, 575.67, 452.02),
        ('ViT-L-14-336', 16, 576.01, 452.36),
    ],
)
def test_parameters(name: str, frames: int, every: float, learning: float | None) -> None:
    """Millions, as measured on the released code; the rest is the text side, which is frozen."""
    total, trainable = count_parameters(released(name, frames))
    assert round(total / 1e6, 2) == every
    assert learning is None or round(trainable / 1e6, 2) == learning
    if (name, frames) == ('ViT-B-16', 8):
        assert total == 194_929_153
        assert released(name, frames)['cls_head'].prompting.layers[0].heads == 8
