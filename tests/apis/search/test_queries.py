"""The forms of a query."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from apis.search.conftest import DIM, FakeModel, draw, names, unit

from mmstan.apis.search import SearchIndex
from mmstan.apis.search.query import is_video_path
from mmstan.methods.drl import TokenWise
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.interactions import Cosine


@pytest.fixture
def index(model: FakeModel, videos: Callable[..., Path], tmp_path: Path) -> SearchIndex:
    return SearchIndex.build(model, videos(30), tmp_path / 'index', store='float32')


def test_a_video_of_the_index_finds_itself(index: SearchIndex, tmp_path: Path) -> None:
    for query in (str(tmp_path / 'videos/0007.mp4'), tmp_path / 'videos/0007.mp4'):
        hits = index.search(query, top=3)
        assert names(hits)[0] == '0007.mp4' and hits[0].score == pytest.approx(1, abs=1e-5)


def test_a_folder_of_images_is_a_video_where_a_slash_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'dog').mkdir()
    asked = [is_video_path(x) for x in ('dog/', './dog', str(tmp_path / 'dog'), 'dog', 'dog/cat')]
    assert asked == [True, True, True, False, False]


def test_an_example_s_score_is_the_mean_of_best_matches(index: SearchIndex) -> None:
    example = draw(100)
    mask = torch.ones(1, len(example)) > 0
    stored = torch.stack([draw(number) for number in range(30)])
    cosines = torch.einsum('qd,btd->bqt', unit(example), unit(stored))
    expected = (cosines.amax(2).mean(1) + cosines.amax(1).mean(1)) / 2
    hits = index.search(example, top=30)
    assert [hit.score for hit in hits] == pytest.approx(expected.sort(descending=True).values)
    same = TokenWise()(TextFeatures(example[None], example[:1], mask), VideoFeatures(stored, mask))
    torch.testing.assert_close(same[0], expected)
    # The nearest frame to any of the example's.
    number = int(names(hits)[0][:4])
    assert hits[0].frame == cosines[number].amax(0).argmax()


def test_an_example_is_pooled_as_the_index_is(videos: Callable[..., Path], tmp_path: Path) -> None:
    model = FakeModel(Cosine())
    index = SearchIndex.build(model, videos(30), tmp_path / 'index', store='float32')
    mask = torch.ones(1, 4) > 0
    pooled = torch.cat([Cosine().pool(VideoFeatures(draw(i)[None], mask)) for i in range(31)])
    (tmp_path / 'other.mp4').write_text('30')
    hits = index.search(tmp_path / 'other.mp4', top=30)
    expected = (pooled[:30] @ pooled[30]).sort(descending=True).values
    assert [hit.score for hit in hits] == pytest.approx(expected.tolist(), abs=1e-6)


def test_frames_and_features_and_embeddings(index: SearchIndex, model: FakeModel) -> None:
    pixels = np.full((4, 8, 8, 3), 1, np.uint8)  # the fake model reads 768 in it
    assert index.search(pixels, 5) == index.search(draw(768), 5)
    text = model.embed_texts(['a dog'], tokens=True)
    assert index.search(text) == index.search('a dog')
    word = draw(3)[2]
    one = TextFeatures(word[None, None], word[None], torch.ones(1, 1) > 0)
    for embedding in (word, word.numpy(), word.double(), 5 * word):
        hits = index.search(embedding, 4)
        assert names(hits) == names(index.search(one, 4))
        assert names(hits)[0] == '0003.mp4'


def test_embeddings_need_no_model(index: SearchIndex) -> None:
    alone = SearchIndex.open(index.folder or '')
    (hit,) = alone.search(draw(3)[2], top=1)
    assert (names([hit]), hit.frame) == (['0003.mp4'], 2) and hit.score == pytest.approx(1)
    assert names(alone.search(draw(3), top=1)) == ['0003.mp4']
    for call in (lambda: alone.search('a dog'), lambda: alone.add('x'), alone.refresh):
        with pytest.raises(ValueError, match=r'opened without a model|names no video'):
            call()


@pytest.mark.parametrize(
    ('query', 'says'),
    [
        ('', "query='' is empty"),
        ('  ', 'is empty'),
        ('clip.mp4', "there is no video 'clip.mp4'; give its path, or a text"),
        (torch.ones(DIM + 1), f'a query of width {DIM + 1} must have the width {DIM}'),
        (torch.full((DIM,), torch.nan), 'finite values'),
        (torch.ones(DIM, dtype=torch.long), 'an embedding is'),
        (torch.ones(0, DIM), 'an embedding is'),
        (np.ones(()), 'an embedding is'),
    ],
)
def test_queries_that_are_none(query: Any, says: str, index: SearchIndex) -> None:
    with pytest.raises(ValueError, match=says):
        index.search(query)


def test_several_texts_are_not_one_query(index: SearchIndex, model: FakeModel) -> None:
    text = TextFeatures(*(x.repeat_interleave(2, 0) for x in model.embed_texts(['a'], tokens=True)))
    with pytest.raises(ValueError, match='2 texts: search for one at a time'):
        index.search(text)


@pytest.mark.parametrize('name', ['top', 'candidates'])
def test_counts_below_one(name: str, index: SearchIndex) -> None:
    with pytest.raises(ValueError, match=f'^{name}=0 must be at least 1'):
        index.search('a dog', **{name: 0})


def test_an_index_in_memory(model: FakeModel) -> None:
    frames = torch.stack([draw(number) for number in range(9)])
    index = SearchIndex.of_features(model, list('abcdefghi'), frames, torch.ones(9, 4) > 0)
    assert [hit.name for hit in index.search('frame 3 1', 1, rerank=False)] == ['d']
    assert (index.folder, len(index), repr(index)) == (None, 9, 'SearchIndex(in memory: 9 videos)')
    with pytest.raises(ValueError, match='an index in memory is not changed'):
        index.remove('a')
