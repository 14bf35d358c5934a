import itertools

import numpy as np
import pytest
import torch

from mmstan.evaluation import (
    MatrixBlocks,
    summarise,
    text_to_video_ranks,
    video_to_text_ranks,
)

NAN, INF = float('nan'), float('inf')
SQUARE = torch.tensor([[0.9, 0.2, 0.1, 0], [0.5, 0.4, 0.3, 0.4], [0.1] * 4, [0, 0.3, 0.2, 0.1]])
# Two, one and three captions of three videos.
SEVERAL = torch.tensor(
    [
        [0.5, 0.6, 0.1],
        [0.7, 0.2, 0.3],
        [0.1, 0.4, 0.2],
        [0.8, 0.1, 0.6],
        [0.2, 0.3, 0.4],
        [0, 0.9, 0.1],
    ]
)
OWNERS = torch.tensor([0, 0, 1, 2, 2, 2])


def blocks(scores, rows=1024) -> MatrixBlocks:
    return MatrixBlocks(torch.as_tensor(scores), rows=rows)


def slow_rank(true: float, others: list[float], ties: str) -> float:
    """One rank, by the definition."""
    if np.isnan(true):
        return len(others) + 1
    better = sum(other > true for other in others)
    tied = sum(other == true for other in others)
    return {'average': better + tied / 2, 'optimistic': better, 'pessimistic': better + tied}[
        ties
    ] + 1


def slow_ranks(scores: torch.Tensor, owners: torch.Tensor, ties: str) -> tuple[list, list, list]:
    s, owners = scores.numpy(), owners.numpy()
    videos = range(s.shape[1])
    t2v = [
        slow_rank(s[i, v], [s[i, j] for j in videos if j != v], ties) for i, v in enumerate(owners)
    ]

    def best(j: int, g: int) -> float:
        return max((x for x in s[owners == g, j] if not np.isnan(x)), default=NAN)

    group = [
        slow_rank(best(j, j), [best(j, g) for g in set(owners) if g != j], ties)
        for j in sorted(set(owners))
    ]
    caption = [slow_rank(best(j, j), list(s[owners != j, j]), ties) for j in sorted(set(owners))]
    return t2v, group, caption


@pytest.mark.parametrize(
    ('ties', 't2v'),
    [('average', [1, 2.5, 2.5, 3]), ('optimistic', [1, 2, 1, 3]), ('pessimistic', [1, 3, 4, 3])],
)
def test_ties(ties: str, t2v: list[float]):
    assert text_to_video_ranks(blocks(SQUARE), torch.arange(4), ties=ties).tolist() == t2v


def test_one_caption_a_video():
    t2v = summarise(text_to_video_ranks(blocks(SQUARE), torch.arange(4)))
    assert (t2v['R1'], t2v['MdR'], t2v['MnR']) == (25, 2.5, 2.25)
    group, caption = video_to_text_ranks(blocks(SQUARE), torch.arange(4))
    assert group.tolist() == caption.tolist() == [1, 1, 3.5, 2.5]


def test_several_captions_a_video():
    t2v = summarise(text_to_video_ranks(blocks(SEVERAL), OWNERS))
    assert (t2v['R1'], t2v['MdR'], t2v['MnR']) == (50, 1.5, 1.5)
    group, caption = video_to_text_ranks(blocks(SEVERAL), OWNERS)
    assert group.tolist() == caption.tolist() == [2, 3, 1]
    assert summarise(group)['R1'] == pytest.approx(100 / 3)
    assert summarise(group)['MnR'] == 2


def test_protocols_differ_where_one_other_video_has_several_better_captions():
    scores = torch.tensor([[0.5, 0.0], [0.9, 0.6], [0.8, 0.2]])
    group, caption = video_to_text_ranks(blocks(scores), torch.tensor([0, 1, 1]))
    assert group.tolist() == [2, 1]
    assert caption.tolist() == [3, 1]


def test_equal_captions_of_one_video_do_not_count_against_it():
    scores = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.2, 0.5]])
    group, caption = video_to_text_ranks(
        blocks(scores), torch.tensor([0, 0, 1]), ties='pessimistic'
    )
    assert group.tolist() == caption.tolist() == [1, 1]


@pytest.mark.parametrize('ties', ['average', 'optimistic', 'pessimistic'])
@pytest.mark.parametrize('rows', [1, 2, 3, 5, 1024])
@pytest.mark.parametrize('captions', [(1,) * 7, (2, 1, 3, 1, 1, 4, 1), (3, 0, 2, 1, 0, 5, 1)])
def test_equal_to_the_definition(captions: tuple[int, ...], rows: int, ties: str):
    owners = torch.arange(len(captions)).repeat_interleave(torch.tensor(captions))
    generator = torch.Generator().manual_seed(rows)
    scores = torch.randint(5, (len(owners), len(captions)), generator=generator).float()  # ties
    scores[torch.rand(scores.shape, generator=generator) < 0.2] = NAN
    found = [
        text_to_video_ranks(blocks(scores, rows), owners, ties=ties),
        *video_to_text_ranks(blocks(scores, rows), owners, ties=ties),
    ]
    for ranks, expected in zip(found, slow_ranks(scores, owners, ties)):
        assert ranks.tolist() == expected


def test_expected_rank_of_ties_broken_at_random():
    scores = torch.tensor([[2, 2, 1, 2, 3.0]])
    ranks = [
        sorted(range(5), key=lambda j: (-scores[0, j], order[j])).index(0) + 1
        for order in itertools.permutations(range(5))
    ]
    assert text_to_video_ranks(blocks(scores), torch.tensor([0])).item() == np.mean(ranks)


def test_nan_is_last():
    scores = torch.tensor([[NAN, 0.1, 0.2], [0.3, 0.2, NAN], [NAN, 0.1, -INF]])
    assert text_to_video_ranks(blocks(scores), torch.arange(3)).tolist() == [3, 2, 2]
    everywhere = blocks(torch.full((3, 3), NAN))
    assert text_to_video_ranks(everywhere, torch.arange(3)).tolist() == [3, 3, 3]
    assert video_to_text_ranks(everywhere, torch.arange(3)).caption.tolist() == [3, 3, 3]
    group, caption = video_to_text_ranks(
        blocks(torch.full((4, 2), NAN)), torch.tensor([0, 0, 0, 1])
    )
    assert (group.tolist(), caption.tolist()) == ([2, 2], [2, 4])


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_a_half_precision_matrix_is_ranked_as_it_is(dtype: torch.dtype):
    scores = torch.rand(20, 20).to(dtype)
    ranks = text_to_video_ranks(blocks(scores), torch.arange(20))
    assert ranks.tolist() == slow_ranks(scores.float(), torch.arange(20), 'average')[0]


def test_captions_must_be_neighbours():
    with pytest.raises(ValueError, match=r'sort texts and owners by order = owners\.argsort'):
        video_to_text_ranks(blocks(SEVERAL), OWNERS.flip(0))


def test_parts_are_merged_by_concatenation():
    ranks = text_to_video_ranks(blocks(SQUARE), torch.arange(4))
    parts = [text_to_video_ranks(blocks(SQUARE[i : i + 2]), torch.arange(i, i + 2)) for i in (0, 2)]
    assert summarise(torch.cat(parts)) == summarise(ranks)


def test_summary():
    ranks = torch.tensor([1, 2, 6, 30, 51, 1.5])
    found = summarise(ranks)
    sixth = 100 / 6
    assert found == pytest.approx(
        dict(R1=sixth, R5=3 * sixth, R10=4 * sixth, R50=5 * sixth, MdR=4, MnR=91.5 / 6)
    )
    assert list(summarise(ranks, topk=(3,))) == ['R3', 'MdR', 'MnR']
