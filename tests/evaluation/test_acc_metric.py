from pathlib import Path

import mmaction.evaluation
import pytest
import torch
from mmengine.logging import MMLogger

from mmstan.evaluation import AccMetric


def sample(pred: int, label: int, **metainfo: list) -> dict:
    score = torch.nn.functional.one_hot(torch.tensor(pred), 6).float()
    return dict(pred_score=score, gt_label=torch.tensor([label]), **metainfo)


def test_equal_to_upstream_when_all_videos_are_readable():
    found = []
    for metric in (AccMetric(), mmaction.evaluation.AccMetric()):
        metric.process(None, [sample(0, 0), sample(1, 2)])
        metric.process(None, [sample(3, 3), sample(4, 4)])
        found.append(metric.evaluate(4))
    assert found[0] == found[1]
    assert found[0]['acc/top1'] == 0.75


def test_broken_videos_are_left_out_and_counted(tmp_path: Path):
    MMLogger.get_instance('metric', log_file=tmp_path / 'log')
    metric = AccMetric()
    # Of the wrong class: they would lower the accuracy.
    metric.process(None, [sample(0, 0), sample(1, 2, broken=[('a.mp4', 'is empty')])])
    metric.process(None, [sample(3, 3), sample(4, 2, broken=[('b.mp4', 'is missing')])])
    metrics = metric.evaluate(4)
    assert metrics['acc/top1'] == metrics['acc/mean1'] == 1.0
    assert metrics['acc/left_out'] == 2
    log = (tmp_path / 'log').read_text()
    assert 'leave out 2 of 4 videos, which are broken: a.mp4: is empty; b.mp4: is missing' in log


def test_nothing_readable():
    metric = AccMetric()
    metric.process(None, [sample(0, 0, broken=[('a.mp4', 'is empty')])])
    with pytest.raises(ValueError, match=r"all 1 videos are broken, among them \['a\.mp4'\]"):
        metric.evaluate(1)


def test_scores_that_are_nan_are_counted_and_named():
    metric = AccMetric()
    metric.process(None, [sample(0, 0, filename='a.mp4'), sample(1, 2, filename='b.mp4')])
    bad = sample(3, 3, filename='c.mp4')
    bad['pred_score'][2] = torch.nan
    metric.process(None, [bad, dict(bad), sample(4, 4, broken=[('d.mp4', 'is empty')])])
    with pytest.raises(ValueError, match=r'^the scores of 1 of 4 videos are NaN .*: c\.mp4; look '):
        metric.evaluate(5)


def test_all_scores_are_nan():
    metric = AccMetric()
    bad = sample(3, 3, filename='c.mp4')
    bad['pred_score'][:] = torch.nan
    metric.process(None, [bad])
    with pytest.raises(ValueError, match=r'1 of 1 videos .*the weights may be NaN'):
        metric.evaluate(1)


def test_a_class_that_is_ruled_out_has_a_score():
    metric = AccMetric()
    ruled_out = sample(3, 3)
    ruled_out['pred_score'][0] = -torch.inf
    metric.process(None, [ruled_out])
    assert metric.evaluate(1)['acc/top1'] == 1


@pytest.mark.filterwarnings('ignore:.*empty')
def test_an_empty_test_set():
    with pytest.raises(ValueError, match='the test set is empty'):
        AccMetric().evaluate(0)


def test_a_vector_of_labels():
    scores, labels = torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.eye(2, dtype=torch.long)
    several = [dict(pred_score=x, gt_label=y, filename='a.mp4') for x, y in zip(scores, labels)]
    message = r'^a\.mp4 has a vector of labels .*, and top_k_accuracy, mean_class_accuracy take one'
    with pytest.raises(ValueError, match=message):
        AccMetric().process(None, several)
    metric = AccMetric(metric_list='mean_average_precision')
    metric.process(None, several)
    assert metric.evaluate(2)['acc/mean_average_precision'] == 1


@pytest.mark.parametrize('label', [6, -1])
def test_labels_without_a_score(label: int):
    message = rf'the label {label} of a\.mp4 is none of the 6 classes, which are 0 to 5'
    with pytest.raises(ValueError, match=message):
        AccMetric().process(None, [sample(0, label, filename='a.mp4')])
