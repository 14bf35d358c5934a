"""AVA and data sets in its format: persons at key frames, each with several actions."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.fileio import join_path
from mmengine.logging import print_log
from mmengine.utils import is_abs

from mmstan.datasets.annotation_files import check_inside, open_annotations
from mmstan.datasets.ava_files import KeyFrame, name_frame, read_annotations
from mmstan.datasets.key_frames import Person, drop_excluded, group_persons, number_actions
from mmstan.datasets.label_maps import read_label_map
from mmstan.datasets.person_boxes import Frames, TestBoxes, check_test_boxes, read_person_boxes
from mmstan.datasets.reliable import ReliableSamples
from mmstan.datasets.transforms.resize_to_grid import refuse_moved_boxes
from mmstan.datasets.video_files import find_files
from mmstan.registry import DATASETS
from mmstan.wording import check_choice, count_things, name_a_few


@DATASETS.register_module()
class AVADataset(ReliableSamples, BaseDataset):
    """Key frames of videos, with persons' boxes and actions (AVA 2.2's files).

    A sample is one key frame. A pipeline gets ``filename``, ``video_id``, ``timestamp``,
    ``timestamp_start``, ``img_key``, ``gt_bboxes`` (g, 4), ``gt_labels`` (g, K) with ones at the
    persons' actions, ``entity_ids`` (g,), and, where persons were detected beforehand, their boxes
    ``proposals`` (p, 4) and ``scores`` (p,). Boxes are fractions of width and height until
    ``mmstan.ReadFrames`` turns them into pixels::

        pipeline = [
            dict(type='mmstan.ReadFrames', sampler=dict(type='mmstan.SampleKeyframe')),
            dict(type='RandomRescale', scale_range=(256, 320)),
            dict(type='mmstan.RandomBoxCrop', size=256),
            dict(type='Flip', flip_ratio=0.5),
            dict(type='FormatShape', input_format='NCTHW', collapse=True),
            dict(type='PackActionInputs', algorithm_keys=('scores',)),
        ]

    A test samples with ``test_mode=True``, and has ``dict(type='mmstan.ResizeToGrid', short=256,
    patch=16)`` in the place of the three random steps: predicted boxes are fractions of whole
    frames.

    A video's file has the video's id as name, or this id with a video's extension. Key frames of
    videos without a file are left out, with one line in the log.

    Args:
        ann_file: ``video,timestamp,x1,y1,x2,y2,action,entity`` a line, without a header. Lines of
            one video, time and box are one person. Paths, here and below, are relative to
            ``data_root``.
        data_prefix: ``dict(video=<folder of the videos>)``.
        label_file: The label map: AVA's ``.pbtxt``, or ``id: name`` a line. With
            ``custom_classes`` these are looked up in it.
        exclude_file: Key frames to leave out, ``video,timestamp`` a line.
        proposal_file: Boxes of detected persons; see
            :func:`~mmstan.datasets.person_boxes.read_person_boxes` for the formats.
        person_det_score_thr: Smallest score of such boxes; where none has it, the best one stays.
        num_classes: K, the number of actions and 1; actions are 1 to K - 1.
        custom_classes: Ids of the only actions to learn; they become 1, 2, ... in this order.
            Persons without any of them are left out.
        timestamp_start: The second of the movie at which the video files begin: 900 in AVA, 0 for
            whole videos.
        keyframes: In a test, the key frames of ``ann_file`` ('annotated'), or all those for which
            ``proposal_file`` has a box ('proposals', as SlowFast tests).
        test_boxes: In a test, the boxes to classify. 'ground_truth' needs no ``proposal_file``;
            the metric's names then end in ``_ground_truth_boxes``.
        kwargs: Of :class:`ReliableSamples` and :class:`mmengine.dataset.BaseDataset`.

    Raises:
        FileNotFoundError: A file or the folder is missing, or all videos are.
        ValueError: A line has another form, or arguments do not fit each other.
    """

    folder_key = 'video'

    def __init__(
        self,
        ann_file: str = '',
        *,
        data_prefix: Mapping[str, str] | None = None,
        label_file: str = '',
        exclude_file: str | None = None,
        proposal_file: str | None = None,
        person_det_score_thr: float = 0.9,
        num_classes: int = 81,
        custom_classes: Sequence[int] | None = None,
        timestamp_start: float = 900,
        keyframes: Frames = 'annotated',
        test_boxes: TestBoxes = 'proposals',
        test_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        check_choice('keyframes', keyframes, Frames)
        check_choice('test_boxes', test_boxes, TestBoxes)
        if not 0 <= person_det_score_thr <= 1:
            raise ValueError(f'person_det_score_thr={person_det_score_thr} must be in [0, 1]')
        self.label_file, self.exclude_file = label_file, exclude_file or ''
        self.proposal_file = proposal_file or ''
        self.person_det_score_thr = person_det_score_thr
        self.num_classes = num_classes
        self.custom_classes = None if custom_classes is None else list(custom_classes)
        self.timestamp_start = timestamp_start
        self.keyframes, self.test_boxes = keyframes, test_boxes
        if test_mode:
            check_test_boxes(self.proposal_file, test_boxes, keyframes)
        elif keyframes != 'annotated':
            raise ValueError(
                f'keyframes={keyframes!r} is for a test (test_mode=True): other key frames have no '
                'labels to train on'
            )
        prefix = data_prefix or dict(video='')
        super().__init__(ann_file, data_prefix=prefix, test_mode=test_mode, **kwargs)
        self._metainfo |= dict(test_boxes=test_boxes, person_det_score_thr=person_det_score_thr)
        if test_mode:
            refuse_moved_boxes(self.pipeline.transforms)

    def _join_prefix(self) -> None:
        super()._join_prefix()
        for name in ('label_file', 'exclude_file', 'proposal_file'):
            path = getattr(self, name)
            if path and not is_abs(path) and self.data_root:
                setattr(self, name, join_path(self.data_root, path))

    def load_data_list(self) -> list[dict[str, Any]]:
        """Join annotations, detected persons and video files; one sample is one key frame."""
        annotations = read_annotations('ann_file', self.ann_file)
        known = read_label_map('label_file', self.label_file) if self.label_file else None
        actions = number_actions(annotations, self.num_classes, self.custom_classes, known)
        persons = group_persons(annotations, actions)
        if not persons:
            raise annotations.file.error(
                f'no line has an action of custom_classes={self.custom_classes}'
            )
        boxes = self._read_proposals()
        frames = [*(boxes if self.keyframes == 'proposals' else persons)]
        if self.exclude_file:
            frames = drop_excluded(frames, 'exclude_file', self.exclude_file)
        files = self._find_files(frames)
        if self.proposal_file and self.keyframes == 'annotated':
            self._report_boxless([frame for frame in frames if frame not in boxes])
        return [
            self._make_sample(frame, files[frame[0]], persons.get(frame, ()), boxes.get(frame))
            for frame in frames
            if frame[0] in files
        ]

    def _read_proposals(self) -> dict[KeyFrame, np.ndarray]:
        if not self.proposal_file:
            return {}
        threshold = self.person_det_score_thr
        boxes, total = read_person_boxes('proposal_file', self.proposal_file, score=threshold)
        kept = sum(map(len, boxes.values()))
        _log(
            f'{self.proposal_file}: {kept} of {total} person boxes are used, at '
            f'{count_things(len(boxes), "key frame")} (score >= {threshold:g}, or the '
            'best of a key frame)'
        )
        return boxes

    def _find_files(self, frames: Sequence[KeyFrame]) -> dict[str, str]:
        """Find the video of each frame; missing videos are logged and left out."""
        folder = self.data_prefix['video']
        file = open_annotations('ann_file', self.ann_file)
        names = {video: [check_inside(file, video, folder)] for video, _ in frames}
        files, doubts = find_files(folder, names, recursive=False, have_extension=False)
        for doubt in doubts:
            _log(doubt, logging.WARNING)
        missing = [video for video in names if video not in files]
        if missing:
            lost = sum(video not in files for video, _ in frames)
            effect = 'their persons count as missed' if self.test_mode else 'they are left out'
            _log(
                f'{len(missing)} of {len(names)} videos of {self.ann_file} have no file in '
                f'{folder} ({name_a_few(missing)}), with {count_things(lost, "key frame")}; '
                f'{effect}',
                logging.WARNING,
            )
        return files

    def _report_boxless(self, frames: Sequence[KeyFrame]) -> None:
        if frames:
            effect = 'nothing is predicted there' if self.test_mode else 'these learn without'
            _log(
                f'{self.proposal_file} has no box at {count_things(len(frames), "key frame")} '
                f'({name_a_few(map(name_frame, frames), most=3)}); {effect}',
                logging.WARNING,
            )

    def _make_sample(
        self, frame: KeyFrame, filename: str, persons: Sequence[Person], boxes: np.ndarray | None
    ) -> dict[str, Any]:
        """Make a sample as it is kept in memory; labels are lists of actions."""
        line = f', line {persons[0].line}' if persons else ''
        origin = 'ann_file' if persons else 'proposal_file'
        sample = dict(
            filename=filename,
            video_id=frame[0],
            timestamp=frame[1],
            timestamp_start=self.timestamp_start,
            img_key=name_frame(frame),
            origin=f'{origin}={getattr(self, origin)!r}{line}',
            modality='RGB',
            gt_bboxes=np.array([p.box for p in persons], np.float32).reshape(-1, 4),
            actions=[p.actions for p in persons],
            entity_ids=np.array([p.entity for p in persons], np.int64),
        )
        if self.proposal_file:
            sample['person_boxes'] = np.empty((0, 5), np.float32) if boxes is None else boxes
        return sample

    def list_key_frames(self) -> Iterator[dict[str, Any]]:
        """Give the samples as they are kept, with ``actions`` and ``person_boxes`` (p, 5)."""
        return (super(AVADataset, self).get_data_info(index) for index in range(len(self)))

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return a key frame as the pipeline gets it; see the class."""
        info = super().get_data_info(idx)
        actions = info.pop('actions')
        info['gt_labels'] = np.zeros((len(actions), self.num_classes), np.float32)
        for row, ones in zip(info['gt_labels'], actions):
            row[ones] = 1
        boxes = info.pop('person_boxes', None)
        if boxes is None and self.test_mode:  # test_boxes='ground_truth'
            boxes = np.pad(info['gt_bboxes'], ((0, 0), (0, 1)), constant_values=1)
        if boxes is not None:
            info['proposals'] = boxes[:, :4].copy()
            info['scores'] = torch.tensor(boxes[:, 4])
        return info


def _log(text: str, level: int = logging.INFO) -> None:
    print_log(text, logger='current', level=level)
