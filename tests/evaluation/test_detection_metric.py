"""AVAMetric: names, protocols, what is left out, and what it says."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from helpers.ava_files import write_files
from mmaction.evaluation.functional import ava_utils
from mmengine.logging import MMLogger

from mmstan.evaluation import AVAMetric, detection_metric

TRUTH = """a,1,0.1,0.1,0.4,0.4,1,0
a,1,0.1,0.1,0.4,0.4,2,0
a,2,0.5,0.5,0.9,0.9,1,0
b,1,0.2,0.2,0.8,0.8,2,0
"""
BOX = [0.1, 0.1, 0.4, 0.4]


def make_metric(
    tmp_path: Path, *, truth: str = TRUTH, labels: str = '', **kwargs: Any
) -> AVAMetric:
    files = write_files(tmp_path, truth=truth, labels=labels or '1: stand\n2: run\n3: hold\n')
    return AVAMetric(files['truth'], files['labels'], **kwargs)


def make_sample(
    video: str, second: float, box: list[float], scores: list[float], **meta: Any
) -> dict[str, Any]:
    found = dict(bboxes=torch.tensor([box]), scores=torch.tensor([[0.0, *scores]]))
    return dict(video_id=video, timestamp=second, pred_instances=found, **meta)


def right_samples() -> Iterator[dict[str, Any]]:
    """Detections that are right where the score is high."""
    yield make_sample('a', 1, BOX, [0.9, 0.8, 0.1])
    yield make_sample('a', 2, [0.5, 0.5, 0.9, 0.9], [0.7, 0.1, 0.1])
    yield make_sample('b', 1, [0.2, 0.2, 0.8, 0.8], [0.1, 0.9, 0.1])


def evaluate(metric: AVAMetric, *samples: dict[str, Any]) -> dict[str, float]:
    for sample in samples:
        metric.process({}, [sample])
    return metric.evaluate(len(samples))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lines of the log."""
    lines: list[str] = []

    def keep(text: str, *_: Any, **__: Any) -> None:
        lines.extend(text.splitlines())

    monkeypatch.setattr(detection_metric, 'print_log', keep)
    return lines


def test_right_detections(tmp_path: Path, said: list[str]) -> None:
    metric = make_metric(tmp_path)
    assert evaluate(metric, *right_samples()) == {'detection/mAP': 1.0}
    table = [line.split() for line in said if line.strip()[0].isdigit()]
    assert table[0] == ['1', 'stand', '1.0000', '2', '3']
    assert table[2] == ['3', 'hold', '-', '0', '3']
    assert said[-1] == (
        'mAP is the mean of 2 classes; 1 of the label map have no ground truth; 3 boxes at 3 key '
        'frames'
    )


def test_frames_without_ground_truth_have_their_own_key(tmp_path: Path, said: list[str]) -> None:
    other = make_sample('a', 3, BOX, [0.95, 0.0, 0.0])
    metrics = evaluate(make_metric(tmp_path), *right_samples(), other)
    assert metrics['detection/mAP'] == 1
    # Action 1 begins with a wrong one: precision 2/3 for both; action 2 has its wrong one last.
    assert metrics['detection/mAP_all_frames'] == pytest.approx((2 / 3 + 1) / 2)
    assert any('(1 of 4 boxes); mAP_all_frames counts them as wrong' in line for line in said)


def test_groups_are_those_of_ava_or_ones_own(tmp_path: Path) -> None:
    labels = '1: stand\n2: run\n15: answer\n64: fight\n'
    metrics = evaluate(make_metric(tmp_path, labels=labels), *right_samples())
    assert metrics == {'detection/mAP': 1.0, 'detection/person_movement': 1.0}
    metrics = evaluate(make_metric(tmp_path, labels=labels, groups={}), *right_samples())
    assert metrics == {'detection/mAP': 1.0}
    metric = make_metric(tmp_path, groups=dict(still=[1], moving=[2, 3], other=[3]))
    metrics = evaluate(metric, *right_samples())
    assert metrics.keys() == {'detection/mAP', 'detection/still', 'detection/moving'}


def test_annotated_boxes_change_the_names(tmp_path: Path) -> None:
    metric = make_metric(tmp_path, groups=dict(still=[1]))
    metric.dataset_meta = dict(test_boxes='ground_truth')
    metrics = evaluate(metric, *right_samples())
    names = {'detection/mAP_ground_truth_boxes', 'detection/still_ground_truth_boxes'}
    assert metrics.keys() == names


def test_custom_classes_are_columns_in_their_order(tmp_path: Path) -> None:
    samples = list(right_samples())
    for sample in samples:  # columns of 2, of 1, of 3
        scores = sample['pred_instances']['scores']
        sample['pred_instances']['scores'] = scores[:, [0, 2, 1, 3]]
    metric = make_metric(tmp_path, custom_classes=[2, 1, 3])
    assert evaluate(metric, *samples)['detection/mAP'] == 1
    with pytest.raises(ValueError, match='the scores have 4 columns, but custom_classes'):
        make_metric(tmp_path, custom_classes=[2]).process({}, samples)
    with pytest.raises(ValueError, match='9 is not in the label map, which has 1, 2, 3'):
        make_metric(tmp_path, custom_classes=[9])


@pytest.mark.filterwarnings(
    'ignore:unclosed file:ResourceWarning'
)  # MMAction2 leaves its files open
def test_excluded_frames_count_on_neither_side_unlike_mmaction(tmp_path: Path) -> None:
    excluded = tmp_path / 'excluded.csv'
    excluded.write_text('a,2\n')
    samples = [x for x in right_samples() if (x['video_id'], x['timestamp']) != ('a', 2)]
    metric = make_metric(tmp_path, exclude_file=str(excluded))
    assert evaluate(metric, *samples)['detection/mAP'] == 1
    assert theirs(tmp_path, samples, excluded) == pytest.approx(0.75)  # half of action 1 is missed


def theirs(tmp_path: Path, samples: list[dict[str, Any]], excluded: Path) -> float:
    """MMAction2's mAP of the same detections, in this process."""
    found = tmp_path / 'found.csv'
    with found.open('w', newline='') as file:
        for sample in samples:
            box, scores = (sample['pred_instances'][x][0].tolist() for x in ('bboxes', 'scores'))
            place = sample['video_id'], sample['timestamp']
            csv.writer(file).writerows([*place, *box, k, scores[k]] for k in (1, 2))
    labels = tmp_path / 'labels.pbtxt'
    labels.write_text(''.join(f'item {{\n  name: "{k}"\n  id: {k}\n}}\n' for k in (1, 2)))
    with (
        mock.patch.object(ava_utils.multiprocessing, 'Pool') as pool,
        pytest.warns(RuntimeWarning, match='Mean of empty slice'),  # of groups without a class
    ):
        pool.return_value.map = lambda function, rows: list(map(function, rows))
        files = [str(tmp_path / 'truth.csv'), str(excluded)]
        return ava_utils.ava_eval(str(found), 'mAP', str(labels), *files)['overall']


def test_broken_frames_count_on_neither_side(tmp_path: Path, said: list[str]) -> None:
    *others, last = right_samples()
    metrics = evaluate(make_metric(tmp_path), *others, dict(last, broken=[('b.mp4', 'is empty')]))
    assert metrics == {'detection/mAP': 1.0, 'detection/left_out': 1}
    assert said[-1].startswith('mAP leaves out 1 of 3 key frames, whose videos are broken: b.mp4:')
    broken = [dict(x, broken=[('b.mp4', 'is empty')]) for x in right_samples()]
    with pytest.raises(ValueError, match='there is no key frame to count: of 3, 3 are broken'):
        evaluate(make_metric(tmp_path), *broken)
    other = make_sample('a', 3, BOX, [1, 1, 1])  # whole, but not annotated
    with pytest.raises(ValueError, match=r'of 4, 3 are broken .* or not in .*truth\.csv'):
        evaluate(make_metric(tmp_path), *broken, other)


def test_nan_is_refused(tmp_path: Path) -> None:
    bad = make_sample('a', 1, BOX, [float('nan'), 0, 0])
    with pytest.raises(ValueError, match=r"the scores of 1 of 4 .* NaN or infinite.*\('a', 1\)"):
        evaluate(make_metric(tmp_path), bad, *right_samples(), make_sample('a', 3, BOX, [1, 1, 1]))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_any_type_of_numbers(tmp_path: Path, dtype: torch.dtype) -> None:
    samples = list(right_samples())
    for sample in samples:
        found = sample['pred_instances']
        sample['pred_instances'] = {name: x.to(dtype) for name, x in found.items()}
    assert evaluate(make_metric(tmp_path), *samples)['detection/mAP'] == 1


def test_the_table_is_a_csv_in_the_folder_of_the_log(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / 'work_dir').mkdir()
    MMLogger.get_instance('run', log_file=str(tmp_path / 'work_dir' / 'run.log'))
    evaluate(make_metric(tmp_path), *right_samples())
    with (tmp_path / 'work_dir' / 'detection_per_class.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [row['action'] for row in rows] == ['stand', 'run', 'hold']
    assert [row['ap'] for row in rows] == ['1.0', '1.0', '']
    assert rows[0]['ground_truth'] == '2' and rows[0]['detections'] == '3'


def test_untested_frames_are_counted(tmp_path: Path, said: list[str]) -> None:
    first, *_ = right_samples()
    assert evaluate(make_metric(tmp_path), first)['detection/mAP'] == 0.5
    assert said[-1].endswith(
        '2 of 3 annotated key frames were not tested, and their persons count as missed'
    )


@pytest.mark.parametrize(
    ('sample', 'reason'),
    [
        (('a', 1, None, [0.9] * 3), 'mAP is 0: there is no detection: none of the 1 key frames'),
        (('a', 7, BOX, [0.9] * 3), 'mAP is 0: the timestamps are apart: tested were a,0007, and'),
        (('a', 1, [0.6, 0.6, 0.9, 0.9], [0.9] * 3), 'mAP is 0: there is no overlap: none of the 1'),
        (('a', 1, [10, 10, 40, 40], [0.9] * 3), 'mAP is 0: there is no overlap'),
    ],
)
def test_zero_is_explained(tmp_path: Path, said: list[str], sample: Any, reason: str) -> None:
    video, second, box, scores = sample
    found = make_sample(video, second, box or BOX, scores)
    if box is None:
        found['pred_instances'] = {name: x[:0] for name, x in found['pred_instances'].items()}
    assert evaluate(make_metric(tmp_path), found)['detection/mAP'] == 0
    assert said[-1].startswith(reason)


def test_labels_outside_the_map_are_explained(tmp_path: Path, said: list[str]) -> None:
    metric = make_metric(tmp_path, truth=TRUTH.replace(',1,0\n', ',2,0\n'))
    metrics = evaluate(metric, make_sample('a', 1, BOX, [0.9]))
    assert metrics['detection/mAP'] == 0
    assert said[-1].startswith('mAP is 0: the labels are outside the map: the model has no column')


def test_no_line_of_the_label_map(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as error:
        make_metric(tmp_path, labels='7: sing\n')
    assert 'no line counts: none of the actions 7 of label_file' in str(error.value)
