from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.text_video_features import features
from mmaction.registry import MODELS
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mmstan.methods.mug import Mug
from mmstan.models import Cosine
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.layers import tiles

# Worked out with the released code, padding masked. The second text has two tokens.
TOKENS = torch.tensor([[[1, 0], [0, 2], [3, 4]], [[1, 1], [-1, 2], [0, 0.5]]])
TOKEN_MASK = torch.tensor([[1, 1, 1], [1, 1, 0]], dtype=torch.bool)
FRAMES = torch.tensor([[[2, 1], [0.3, 1]], [[1, -0.9], [3, 1]]])
TEXT = TextFeatures(TOKENS, torch.stack([TOKENS[0, 2], TOKENS[1, 1]]), TOKEN_MASK)
VIDEO = VideoFeatures(FRAMES, torch.ones(2, 2, dtype=torch.bool))


def by_pairs(text: TextFeatures, video: VideoFeatures, pair: Callable[..., Tensor]) -> Tensor:
    """``pair`` of the real tokens and frames of every text and video."""
    rows = []
    for tokens, sentence, mask in zip(*text):
        per_frame = video.tokens.shape[1] // video.frames.shape[1]
        rows.append(
            torch.stack(
                [
                    pair(
                        F.normalize(tokens[mask], dim=-1),
                        F.normalize(sentence, dim=-1),
                        F.normalize(frames[real], dim=-1),
                        F.normalize(
                            patches.unflatten(0, (-1, per_frame))[real].flatten(0, 1), dim=-1
                        ),
                    )
                    for frames, real, patches in zip(*video)
                ]
            )
        )
    return torch.stack(rows)


# --- Mug ---


@pytest.mark.parametrize(
    ('sharpness', 'arguments', 'golden'),
    [
        (1, dict(), [[0.750064, 0.540444], [0.704691, 0.371688]]),
        (100, dict(), [[0.953428, 0.948683], [0.948609, 0.894427]]),
        (1, dict(form='simple'), [[0.798578, 0.591119], [0.749403, 0.370010]]),
        (100, dict(form='simple'), [[0.955275, 0.948683], [0.948609, 0.894427]]),
        (1, dict(text='sentence'), [[0.917038, 0.560883], [0.491105, -0.387939]]),
        (100, dict(text='sentence'), [[0.938146, 0.822192], [0.728200, -0.141421]]),
    ],
)
def test_golden_mug(sharpness: float, arguments: dict[str, Any], golden: list[Any]) -> None:
    similarity = Mug(sharpness=sharpness, **arguments)(TEXT, VIDEO)
    torch.testing.assert_close(similarity, torch.tensor(golden), atol=2e-6, rtol=0)


def written_out(tokens: Tensor, frames: Tensor, attend: Callable[[Tensor], Tensor]) -> Tensor:
    """Mug-STAN Eq. 11-19 of one pair in the paper's own order, weighted sums of features first."""
    s = tokens @ frames.T
    seen = torch.stack([attend(row) @ frames for row in s])  # a token's view of the video
    read = torch.stack([attend(column) @ tokens for column in s.T])  # a frame's view of the text
    text = attend((tokens * seen).sum(1)) @ tokens
    video = attend((read * frames).sum(1)) @ frames
    return text @ video


def best(scores: Tensor, k: int) -> Tensor:
    chosen = scores.argsort(descending=True)[:k]
    return torch.zeros_like(scores).index_fill(0, chosen, 1 / len(chosen))


@pytest.mark.parametrize(
    ('arguments', 'attend'),
    [
        (dict(sharpness=7), lambda x: (7 * x).softmax(0)),
        (dict(top_k=1), lambda x: best(x, 1)),
        (dict(top_k=2), lambda x: best(x, 2)),
        (dict(top_k=9), lambda x: best(x, 9)),  # more than there are
    ],
)
def test_mug_is_the_papers(arguments: dict[str, Any], attend: Callable[[Tensor], Tensor]) -> None:
    text, video = features()
    sides = dict(frames=lambda f, p: f, mean=lambda f, p: f.mean(0, True), tokens=lambda f, p: p)
    for name, side in sides.items():
        expected = by_pairs(
            text, video, lambda w, s, f, p, side=side: written_out(w, side(f, p), attend)
        )
        torch.testing.assert_close(Mug(video=name, **arguments)(text, video), expected)


def test_literal_frame_text() -> None:
    def pair(tokens: Tensor, sentence: Tensor, frames: Tensor, _: Tensor) -> Tensor:
        s = tokens @ frames.T
        b = ((5 * s).softmax(0) * s).sum(0)
        return sentence @ ((5 * b).softmax(0) @ frames)

    text, video = features()
    expected = by_pairs(text, video, pair)
    torch.testing.assert_close(Mug(sharpness=5, form='sentence')(text, video), expected)


def test_literal_video_token() -> None:
    """The frames choose the tokens; the video is their mean."""

    def pair(tokens: Tensor, _: Tensor, frames: Tensor, __: Tensor) -> Tensor:
        s = tokens @ frames.T
        a = ((5 * s).softmax(1) * s).sum(1)
        return ((5 * a).softmax(0) @ tokens) @ frames.mean(0)

    text, video = features()
    expected = by_pairs(text, video, pair)
    found = Mug(sharpness=5, form='mean')(text, video)
    torch.testing.assert_close(found, expected)
    assert (found - Mug(sharpness=5, video='mean')(text, video)).abs().max() > 1e-3


def test_weights_are_those_of_the_similarity() -> None:
    text, video = features()
    mug = Mug(sharpness=5)
    w, u = mug.weights(text, video)
    assert w.shape == (5, 4, 6) and u.shape == (5, 4, 3)
    for weights, mask in ((w, text.mask[:, None]), (u, video.mask[None])):
        torch.testing.assert_close(weights.sum(-1), torch.ones(5, 4))
        assert weights.masked_select(~mask.expand_as(weights)).eq(0).all()
    s = torch.einsum(
        'ajd,btd->abjt', F.normalize(text.tokens, dim=-1), F.normalize(video.frames, dim=-1)
    )
    torch.testing.assert_close(torch.einsum('abj,abjt,abt->ab', w, s, u), mug(text, video))


@pytest.mark.parametrize(
    'arguments',
    [
        dict(form='median'),
        dict(text='words'),
        dict(video='patches'),
        dict(top_k=0),
        dict(form='sentence', text='sentence'),
    ],
)
def test_mug_refuses(arguments: dict[str, Any]) -> None:
    name = next(iter(arguments))
    with pytest.raises(ValueError, match=f'{name}='):
        Mug(**arguments)


def test_mug_without_the_tokens_that_it_reads() -> None:
    text, video = features()
    with pytest.raises(ValueError, match="video='tokens'"):
        Mug(video='tokens')(text, video._replace(tokens=None))


# --- the mean ---


@pytest.mark.parametrize('frames', ['normalised', 'raw'])
def test_cosine(frames: str) -> None:
    text, video = features()
    raw = [f[m] for f, m in zip(video.frames, video.mask)]
    means = [(F.normalize(f, dim=-1) if frames == 'normalised' else f).mean(0) for f in raw]
    expected = F.cosine_similarity(text.sentence[:, None], torch.stack(means)[None], dim=-1)
    torch.testing.assert_close(Cosine(frames=frames)(text, video), expected)


@pytest.mark.parametrize('frames', ['normalised', 'raw'])
def test_the_mean_of_the_frames_is_float32_under_autocast(frames: str) -> None:
    _, video = features()
    expected = Cosine(frames=frames).pool(video)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(Cosine(frames=frames).pool(video), expected)


def test_cosine_refuses() -> None:
    with pytest.raises(ValueError, match="frames='max'"):
        Cosine(frames='max')


# --- what holds for all ---

ALL = [
    dict(type='mmstan.Cosine'),
    dict(type='mmstan.Cosine', frames='raw'),
    dict(type='mmstan.Mug', sharpness=5.0),
    dict(type='mmstan.Mug'),
    dict(type='mmstan.Mug', form='simple'),
    dict(type='mmstan.Mug', form='sentence'),
    dict(type='mmstan.Mug', form='mean'),
    dict(type='mmstan.Mug', text='sentence'),
    dict(type='mmstan.Mug', video='mean'),
    dict(type='mmstan.Mug', video='tokens'),
    dict(type='mmstan.Mug', top_k=2),
    dict(type='mmstan.TokenWise'),
    dict(type='mmstan.WeightedTokenWise', dim=8, layers=2),
]


@pytest.fixture(params=ALL, ids=lambda cfg: '-'.join(str(v) for v in cfg.values()))
def interaction(request: pytest.FixtureRequest) -> torch.nn.Module:
    torch.manual_seed(0)
    return MODELS.build(request.param)


def test_padding_takes_no_part(interaction: torch.nn.Module) -> None:
    text, video = features()
    whole = interaction(text, video)
    assert whole.shape == (5, 4) and whole.dtype == torch.float32
    noise = torch.where(text.mask[..., None], text.tokens, 9 * torch.randn_like(text.tokens))
    per_frame = video.tokens.shape[1] // video.frames.shape[1]
    real = video.mask[..., None]
    patches = real.repeat_interleave(per_frame, dim=1)
    other = VideoFeatures(
        torch.where(real, video.frames, 9 * torch.randn_like(video.frames)),
        video.mask,
        torch.where(patches, video.tokens, 9 * torch.randn_like(video.tokens)),
    )
    torch.testing.assert_close(interaction(text._replace(tokens=noise), other), whole)


def test_each_pair_is_for_itself(interaction: torch.nn.Module) -> None:
    text, video = features()
    whole = interaction(text, video)
    for i in range(5):
        for j in range(4):
            length, frames = int(text.mask[i].sum()), int(video.mask[j].sum())
            one_text = TextFeatures(
                text.tokens[[i], :length], text.sentence[[i]], text.mask[[i], :length]
            )
            one_video = VideoFeatures(
                video.frames[[j], :frames],
                video.mask[[j], :frames],
                video.tokens[[j], : 5 * frames],
            )
            torch.testing.assert_close(interaction(one_text, one_video)[0, 0], whole[i, j])


@pytest.mark.parametrize('elements', [1, 50, 200])
def test_tiles(
    elements: int, interaction: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forward and backward equal those of one tile; 200 numbers are tiles of uneven sizes."""

    def run() -> tuple[Tensor, list[Tensor]]:
        text, video = features(7, 5)
        inputs = [text.tokens, text.sentence, video.frames, video.tokens]
        for x in inputs:
            x.requires_grad_()
        similarity = interaction(text, video)
        weights = torch.randn(7, 5, generator=torch.Generator().manual_seed(1))
        parameters = [*inputs, *interaction.parameters()]
        gradients = torch.autograd.grad((similarity * weights).sum(), parameters, allow_unused=True)
        return similarity, [g for g in gradients if g is not None]

    whole, gradients = run()
    monkeypatch.setitem(tiles._ELEMENTS, 'cpu', elements)
    similarity, others = run()
    torch.testing.assert_close(similarity, whole)
    assert len(others) == len(gradients) > 1
    assert sum(one.abs().sum() > 0 for one in others) > 1
    for one, other in zip(others, gradients):
        torch.testing.assert_close(one, other)


def test_scores_are_float32_under_autocast(interaction: torch.nn.Module) -> None:
    text, video = features()
    whole = interaction(text, video)
    with torch.autocast('cpu', torch.bfloat16):
        torch.testing.assert_close(interaction(text, video), whole, atol=0, rtol=0)
    half = TextFeatures(text.tokens.bfloat16(), text.sentence.bfloat16(), text.mask)
    assert interaction(half, video).dtype == torch.float32


def test_nothing_but_padding_is_finite(interaction: torch.nn.Module) -> None:
    """A broken video may leave no real frame: neither it nor the others become NaN."""
    text, video = features()
    mask = video.mask.clone()
    mask[0] = False
    whole, holed = interaction(text, video), interaction(text, video._replace(mask=mask))
    assert holed.isfinite().all()
    torch.testing.assert_close(holed[:, 1:], whole[:, 1:])


def test_reads_what_it_says(interaction: torch.nn.Module) -> None:
    text, video = features()
    sentence = TextFeatures(
        text.sentence[:, None], text.sentence, torch.ones(5, 1, dtype=torch.bool)
    )
    if not interaction.reads_text_tokens:
        torch.testing.assert_close(interaction(sentence, video), interaction(text, video))
    if not interaction.reads_video_tokens:
        torch.testing.assert_close(
            interaction(text, video._replace(tokens=None)), interaction(text, video)
        )


@pytest.mark.parametrize(
    ('rows', 'columns', 'pairs', 'shape'),
    [
        (100, 100, 100, (10, 10)),
        (3, 100, 100, (3, 33)),
        (100, 3, 100, (33, 3)),
        (4, 4, 1000, (4, 4)),
        (9, 9, 0, (1, 1)),
        (200, 1000, 2000, (44, 44)),
    ],
)
def test_tile_shape(rows: int, columns: int, pairs: int, shape: tuple[int, int]) -> None:
    assert tiles.choose_tile_shape(rows, columns, pairs) == shape


def test_memory_of_a_backward_pass_is_a_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tensor that is larger than a tile or the inputs is ever made."""

    class Largest(TorchDispatchMode):
        numel = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            for x in result if isinstance(result, (tuple, list)) else [result]:
                if isinstance(x, Tensor):
                    self.numel = max(self.numel, x.numel())
            return result

    elements = 6000
    monkeypatch.setitem(tiles._ELEMENTS, 'cpu', elements)
    text, video = features(64, 64, length=8, frames=6)  # 196,608 numbers at once
    for x in (text.tokens, video.frames):
        x.requires_grad_()
    with Largest() as largest:
        Mug()(text, video).sum().backward()
    assert elements >= largest.numel > elements // 2
