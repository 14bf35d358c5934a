import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmstan.evaluation import MatrixBlocks, ScoreBlocks, text_to_video_ranks, video_to_text_ranks
from mmstan.evaluation import scores as scores_module
from mmstan.models.features import TextFeatures, VideoFeatures


def features(texts: int, videos: int, *, width: int = 8) -> tuple[TextFeatures, VideoFeatures]:
    """Of small integers, whose products have no rounding errors."""
    generator = torch.Generator().manual_seed(texts)

    def integers(*shape: int) -> torch.Tensor:
        return torch.randint(-3, 4, shape, generator=generator).float()

    text = TextFeatures(
        integers(texts, 3, width), integers(texts, width), torch.rand(texts, 3) < 0.7
    )
    return text, VideoFeatures(integers(videos, 2, width), torch.rand(videos, 2) < 0.7)


def product(text: TextFeatures, video: VideoFeatures) -> torch.Tensor:
    """Reads everything there is."""
    tokens = (text.tokens * text.mask[..., None]).sum(1) + text.sentence
    return tokens @ (video.frames * video.mask[..., None]).sum(1).T


@pytest.fixture
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores_module, '_KEPT', 0)


@pytest.mark.parametrize(
    ('rows', 'columns'), [(None, None), (1, 1), (3, 5), (7, 4), (12, 100), (100, 7)]
)
def test_blocks_are_the_matrix(nothing_kept: None, rows: int | None, columns: int | None):
    text, video = features(13, 11)
    blocks = ScoreBlocks(product, text, video, rows=rows, columns=columns)
    expected = product(text, video)
    assert blocks.shape == (13, 11)
    for _ in range(2):  # again at each pass
        seen = 0
        for where, block in blocks:
            assert where.start == seen
            assert block.equal(expected[where])
            seen = where.stop
        assert seen == 13


@pytest.mark.parametrize('rows', [1, 2, 5, None])
def test_ranks_do_not_depend_on_blocks(nothing_kept: None, rows: int | None):
    text, video = features(20, 9)
    owners = torch.arange(9).repeat_interleave(torch.tensor([1, 4, 2, 3, 2, 1, 1, 3, 3]))
    blocks = ScoreBlocks(product, text, video, rows=rows, columns=4)
    matrix = MatrixBlocks(product(text, video))
    assert text_to_video_ranks(blocks, owners).equal(text_to_video_ranks(matrix, owners))
    found, expected = (video_to_text_ranks(x, owners) for x in (blocks, matrix))
    assert found.group.equal(expected.group) and found.caption.equal(expected.caption)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_cast_before_scoring(dtype: torch.dtype):
    text, video = features(6, 5)
    half = (
        TextFeatures(text.tokens.to(dtype), text.sentence.to(dtype), text.mask),
        VideoFeatures(video.frames.to(dtype), video.mask),
    )
    seen = set()

    def score(text: TextFeatures, video: VideoFeatures) -> torch.Tensor:
        seen.update({text.tokens.dtype, text.sentence.dtype, video.frames.dtype})
        assert text.mask.dtype == video.mask.dtype == torch.bool
        return text.sentence @ video.frames.mean(1).T

    with torch.autocast('cpu', dtype=torch.bfloat16):
        ((_, block),) = ScoreBlocks(score, *half)
    assert seen == {torch.float32}
    # Small integers are exact in half precision, products of bfloat16 would not be.
    assert block.equal(text.sentence @ video.frames.mean(1).T)


def test_few_scores_are_computed_once_and_many_at_each_pass(monkeypatch: pytest.MonkeyPatch):
    calls = []

    def score(text: TextFeatures, video: VideoFeatures) -> torch.Tensor:
        calls.append((len(text.sentence), len(video.frames)))
        return product(text, video)

    text, video = features(10, 7)
    for kept, expected in ((70, 6), (69, 12)):  # 3 x 2 calls a pass
        monkeypatch.setattr(scores_module, '_KEPT', kept)
        calls.clear()
        blocks = ScoreBlocks(score, text, video, rows=4, columns=5)
        first, second = ([block.clone() for _, block in blocks] for _ in range(2))
        assert all(a.equal(b) for a, b in zip(first, second))
        assert len(calls) == expected


def test_all_calls_have_one_shape(nothing_kept: None):
    shapes = set()

    def score(text: TextFeatures, video: VideoFeatures) -> torch.Tensor:
        shapes.add((len(text.sentence), len(video.frames)))
        return product(text, video)

    assert len(list(ScoreBlocks(score, *features(103, 55), rows=10, columns=20))) == 11
    assert shapes == {(10, 19)}


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for x in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(x, torch.Tensor):
                self.elements = max(self.elements, x.untyped_storage().nbytes() // x.element_size())
        return made


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch):
    """The limits of 50,000 x 50,000, scaled down: panels of 2**25, pieces of 2**19 scores."""
    for name, limit in (('_KEPT', 2**10), ('_PANEL', 2**13), ('_PIECE', 2**11)):
        monkeypatch.setattr(scores_module, name, limit)
    texts = videos = 400
    text, video = features(texts, videos, width=2)
    owners = torch.arange(videos)
    with Largest() as largest:
        blocks = ScoreBlocks(product, text, video)
        text_to_video_ranks(blocks, owners)
        video_to_text_ranks(blocks, owners)
    assert blocks.rows * videos <= 2**13
    assert largest.elements <= 2**13 < texts * videos / 10


def test_blocks_of_the_default_size():
    """Of 50,000 x 50,000 pairs in the width of CLIP, without computing them."""
    nothing = torch.empty(1, device='meta')
    text = TextFeatures(
        nothing.expand(50_000, 1, 512), nothing.expand(50_000, 512), nothing.expand(50_000, 1)
    )
    video = VideoFeatures(nothing.expand(50_000, 12, 512), nothing.expand(50_000, 12))
    blocks = ScoreBlocks(product, text, video)
    assert blocks.rows * 50_000 <= 2**25
    assert blocks.columns * 12 * 512 <= 2**26
