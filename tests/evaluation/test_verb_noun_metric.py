from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.logging import MMLogger

from mmstan.evaluation import VerbNounMetric, action_ranks


def sample(scores: torch.Tensor, verb: int, noun: int, **metainfo: Any) -> dict[str, Any]:
    return dict(pred_score=scores, gt_label=torch.tensor([verb, noun]), **metainfo)


def test_ranks_of_independent_verbs_and_nouns() -> None:
    verb, noun = torch.tensor([0.1, 0.7, 0.2]), torch.tensor([0.25, 0.05, 0.4, 0.3])
    scores = verb[:, None] * noun
    order = scores.flatten().argsort(descending=True).tolist()
    for v in range(3):
        for n in range(4):
            expected = [
                order.index(v * 4 + n) + 1,
                [3, 1, 2][v],
                [3, 4, 1, 2][n],
            ]
            assert action_ranks(scores, v, n) == expected


@pytest.mark.parametrize('scores', [torch.full((3, 4), 0.1), torch.full((3, 4), torch.nan)])
def test_nobody_profits_from_equal_scores(scores: torch.Tensor) -> None:
    assert action_ranks(scores, 1, 2) == [12, 3, 4]


def test_accuracies() -> None:
    """Of three videos one is right, one has the verb, one has the noun."""
    scores = torch.full((3, 7), 0.01)
    scores[1, 2] = 0.8
    metric = VerbNounMetric()
    metric.process(None, [sample(scores, 1, 2), sample(scores, 1, 0)])
    metric.process(None, [sample(scores, 0, 2)])
    found = metric.evaluate(3)
    assert next(iter(found)) == 'acc/action_top1'  # what save_best='auto' keeps
    assert found == {
        'acc/action_top1': pytest.approx(1 / 3),
        'acc/action_top5': pytest.approx(1 / 3),
        'acc/verb_top1': pytest.approx(2 / 3),
        'acc/verb_top5': 1.0,
        'acc/noun_top1': pytest.approx(2 / 3),
        'acc/noun_top5': pytest.approx(2 / 3),
    }


def test_broken_videos_are_left_out_and_counted(tmp_path: Path) -> None:
    MMLogger.get_instance('metric', log_file=tmp_path / 'log')
    scores = torch.eye(3)
    metric = VerbNounMetric(topk=(1,))
    metric.process(None, [sample(scores, 0, 0), sample(scores, 0, 1, broken=[('a.mp4', 'is cut')])])
    assert metric.evaluate(2) == {
        **{f'acc/{task}_top1': pytest.approx(0.0) for task in ('action', 'verb', 'noun')},
        'acc/left_out': 1,
    }
    assert 'the accuracies leave out 1 of 2 videos' in (tmp_path / 'log').read_text()


def test_nothing_readable() -> None:
    metric = VerbNounMetric()
    metric.process(None, [sample(torch.eye(3), 0, 1, broken=[('a.mp4', 'is cut')])])
    with pytest.raises(ValueError, match='the accuracies have no video: all 1 are broken'):
        metric.evaluate(1)


def test_scores_that_are_nan() -> None:
    metric = VerbNounMetric()
    nan = torch.full((3, 3), torch.nan)
    metric.process(None, [sample(torch.eye(3), 0, 1), sample(nan, 0, 1, filename='a.mp4')])
    with pytest.raises(ValueError, match=r'the scores of 1 of 2 videos are NaN .*: a\.mp4; look'):
        metric.evaluate(2)


@pytest.mark.parametrize(('verb', 'noun'), [(2, 0), (0, 3), (-1, 0)])
def test_labels_without_a_score(verb: int, noun: int) -> None:
    metric = VerbNounMetric()
    message = f'verb {verb} and noun {noun} of a video must be below 2 and 3'
    with pytest.raises(ValueError, match=message):
        metric.process(None, [sample(torch.ones(2, 3), verb, noun)])
