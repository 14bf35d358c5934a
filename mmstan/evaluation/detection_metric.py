"""The mean average precision of AVA: actions of persons in boxes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from torch import Tensor

from mmstan.datasets.ava_files import KeyFrame, make_frame, read_annotations, read_excluded
from mmstan.datasets.key_frames import check_custom_classes
from mmstan.datasets.label_maps import read_label_map
from mmstan.evaluation.detection_report import (
    Reading,
    explain_zero,
    format_scores,
    summarise_reading,
    write_scores,
)
from mmstan.evaluation.detection_scores import (
    ClassScore,
    Detections,
    GroundTruth,
    average_classes,
    score_classes,
)
from mmstan.evaluation.finite import holds_nan, refuse_nan
from mmstan.registry import METRICS
from mmstan.wording import name_a_few

AVA_GROUPS: dict[str, Sequence[int]] = dict(
    person_movement=range(1, 15),
    object_manipulation=range(15, 64),
    person_interaction=range(64, 81),
)
"""The three kinds of AVA's actions."""


@METRICS.register_module()
class AVAMetric(BaseMetric):
    """mAP at an overlap of 0.5, by the rules of ActivityNet's scorer.

    Keys, shares between 0 and 1:

    * ``detection/mAP``: over the actions of the label map that the ground truth has. Detections in
      frames without a line in ``ann_file`` are dropped and counted in the log.
    * ``detection/mAP_all_frames``, if there are such detections: they count as wrong (SlowFast's
      and VideoMAE's protocol).
    * ``detection/<group>`` for each group of actions of which one counts; see ``groups``.
    * ``detection/left_out``, if there are any: key frames of broken videos, which do not count.

    All names but the last end in ``_ground_truth_boxes`` where the data set gave annotated boxes. A
    table of all classes goes into the log, and as ``detection_per_class.csv`` into the log's
    folder, which is in the work dir. A detection without area does not count; all others do, with
    any score but minus infinity.

    Reads data samples with ``pred_instances.bboxes`` (n, 4) in [0, 1] of the frame,
    ``pred_instances.scores`` (n, K) whose column is the action, ``video_id`` and ``timestamp``.

    Args:
        ann_file: The ground truth, as :class:`mmstan.AVADataset` reads it.
        label_file: The label map; only its actions count.
        exclude_file: Key frames that do not count, ``video,timestamp`` a line.
        custom_classes: The data set's ``custom_classes``: column i is the i-th of these.
        groups: Ids of actions by the name of a group. By default AVA's three groups if the label
            map has ids from 64 on, and none otherwise; an empty mapping is none.
        kwargs: Arguments of MMEngine's metrics.

    Raises:
        ValueError: A file has another form, or ``custom_classes`` are not in the label map.
        FileNotFoundError: A file is missing.
    """

    default_prefix = 'detection'

    def __init__(
        self,
        ann_file: str,
        label_file: str,
        exclude_file: str | None = None,
        custom_classes: Sequence[int] | None = None,
        *,
        groups: Mapping[str, Sequence[int]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        names = read_label_map('label_file', label_file)
        if groups is None:
            groups = AVA_GROUPS if max(names) >= 64 else {}
        self.groups = groups
        self.custom_classes = custom_classes
        if custom_classes is not None:
            check_custom_classes(custom_classes, names)
            names = {action: names[action] for action in custom_classes}
        self.names = names
        """Names of the actions that count, by id."""
        self.class_scores: dict[int, ClassScore] = {}
        """The score of each action in the last test, by id."""
        self.ann_file = ann_file
        annotations = read_annotations('ann_file', ann_file)
        excluded = read_excluded('exclude_file', exclude_file) if exclude_file else set()
        self._excluded = excluded
        kept = np.isin(annotations.actions, [*names])
        kept &= np.array([frame not in excluded for frame in annotations.frames])
        if not kept.any():
            raise annotations.file.error(
                f'no line counts: none of the actions {name_a_few(names)} of label_file='
                f'{label_file!r} is at a key frame that exclude_file leaves'
            )
        self._frames = [annotations.frames[index] for index in np.flatnonzero(kept)]
        self._boxes, self._actions = annotations.boxes[kept], annotations.actions[kept]

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the boxes and scores of a batch of data samples (as dictionaries)."""
        for sample in data_samples:
            frame = make_frame(sample['video_id'], sample['timestamp'])
            if sample.get('broken'):  # kept: every rank must have equally many results
                self.results.append(dict(frame=frame, broken=sample['broken'][0]))
                continue
            boxes, scores = (sample['pred_instances'][name] for name in ('bboxes', 'scores'))
            if holds_nan([boxes, scores]):
                self.results.append(dict(frame=frame, nan=str(frame)))
                continue
            self._check_columns(scores.shape[1])
            self.results.append(
                dict(frame=frame, boxes=_to_numpy(boxes), scores=_to_numpy(scores[:, 1:]))
            )

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Keys and values; see the class."""
        results = _drop_repeated(results)
        refuse_nan([r['nan'] for r in results if 'nan' in r], len(results), what='the scores')
        broken = {result['frame']: result['broken'] for result in results if 'broken' in result}
        counted = [r for r in results if 'boxes' in r and r['frame'] not in self._excluded]
        if not counted or all(frame in broken for frame in self._frames):
            raise ValueError(
                f'there is no key frame to count: of {len(results)}, {len(broken)} are broken and '
                f'the others excluded, or not in {self.ann_file}'
            )
        found, truth = self._number_frames(counted, broken)
        columns = self._find_columns(found.scores.shape[1])
        used = [column for column in columns.values() if column is not None]
        detected = (found.scores[:, used] > -np.inf).any(axis=1)
        found = Detections(*(part[detected] for part in found))
        scores, overlapping = score_classes(found, truth, columns)
        self.class_scores = scores
        reading = Reading(
            frames=[result['frame'] for result in counted],
            true_frames=list(dict.fromkeys(self._frames)),
            boxes=len(found.boxes),
            overlapping=overlapping,
            outside=[a for a, column in columns.items() if column is None],
        )
        metrics = self._summarise(scores, reading, _count_outside(found, truth))
        self._report(scores, metrics, reading)
        if broken:
            metrics['left_out'] = len(broken)
            _warn_of_broken(broken, len(results))
        return metrics

    def _check_columns(self, columns: int) -> None:
        expected = None if self.custom_classes is None else len(self.custom_classes) + 1
        if expected not in (None, columns):
            raise ValueError(
                f'the scores have {columns} columns, but custom_classes={self.custom_classes} '
                f'needs {expected} (column 0 is no action): set num_classes={expected} of the head'
            )

    def _find_columns(self, width: int) -> dict[int, int | None]:
        """Find the column of each action in scores without column 0; None if it has none."""
        if self.custom_classes is not None:
            return {action: column for column, action in enumerate(self.custom_classes)}
        return {action: action - 1 if action <= width else None for action in self.names}

    def _number_frames(
        self, counted: Sequence[dict[str, Any]], broken: Mapping[KeyFrame, Any]
    ) -> tuple[Detections, GroundTruth]:
        """Number the key frames, and join boxes of all of them."""
        numbers: dict[KeyFrame, int] = {}
        for frame in (*self._frames, *(result['frame'] for result in counted)):
            numbers.setdefault(frame, len(numbers))
        kept = np.array([frame not in broken for frame in self._frames], bool)
        true_frames = np.array([numbers[frame] for frame in self._frames], np.int64)
        truth = GroundTruth(true_frames[kept], self._boxes[kept], self._actions[kept])
        frames = np.array([numbers[result['frame']] for result in counted])
        found = Detections(
            np.repeat(frames, [len(result['boxes']) for result in counted]),
            np.concatenate([result['boxes'] for result in counted]).astype(np.float64),
            np.concatenate([result['scores'] for result in counted]),
        )
        return found, truth

    def _summarise(
        self, scores: Mapping[int, ClassScore], reading: Reading, outside: int
    ) -> dict[str, float]:
        """Average the classes, all and by group."""
        every = [score.precision for score in scores.values()]
        averages = dict(mAP=average_classes(every))
        if outside:
            strict = [score.precision_all_frames for score in scores.values()]
            averages['mAP_all_frames'] = average_classes(strict)
            print_log(
                f'mAP drops the detections in frames that {self.ann_file} does not name ('
                f'{outside} of {reading.boxes} boxes); mAP_all_frames counts them as wrong',
                'current',
            )
        for name, actions in self.groups.items():
            averages[name] = average_classes([scores[a].precision for a in actions if a in scores])
        given = (self.dataset_meta or {}).get('test_boxes') == 'ground_truth'
        suffix = '_ground_truth_boxes' if given else ''
        return {name + suffix: value for name, value in averages.items() if value is not None}

    def _report(
        self, scores: Mapping[int, ClassScore], metrics: Mapping[str, float], reading: Reading
    ) -> None:
        """Write the table of classes into the log and a file, and explain an mAP of 0."""
        threshold = (self.dataset_meta or {}).get('person_det_score_thr')
        print_log(format_scores(scores, self.names), 'current')
        print_log(summarise_reading(scores, reading, threshold), 'current')
        log_file = MMLogger.get_current_instance().log_file
        if log_file:
            write_scores(scores, self.names, Path(log_file).with_name('detection_per_class.csv'))
        if next(iter(metrics.values())) == 0:
            print_log(f'mAP is 0: {explain_zero(reading)}', logger='current', level=logging.WARNING)


def _to_numpy(tensor: Tensor) -> np.ndarray:
    """Copy a tensor to the host; half precision becomes float32."""
    half = tensor.dtype in (torch.float16, torch.bfloat16)
    return (tensor.float() if half else tensor).detach().cpu().numpy()


def _drop_repeated(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first result of each key frame; the sampler repeats samples to fill up the ranks."""
    first: dict[KeyFrame, dict[str, Any]] = {}
    for result in results:
        first.setdefault(tuple(result['frame']), result)  # collecting may make lists of tuples
    return list(first.values())


def _count_outside(found: Detections, truth: GroundTruth) -> int:
    """Count detected boxes in frames that the ground truth does not name."""
    return int((~np.isin(found.frames, truth.frames)).sum())


def _warn_of_broken(broken: Mapping[KeyFrame, tuple[str, str]], total: int) -> None:
    named = '; '.join(f'{name}: {reason}' for name, reason in sorted(set(broken.values())))
    print_log(
        f'mAP leaves out {len(broken)} of {total} key frames, whose videos are broken: {named}',
        logger='current',
        level=logging.WARNING,
    )
