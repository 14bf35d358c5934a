"""Checks of the data of action detection, before training begins."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from mmstan.compat.state_dicts import unwrap_model
from mmstan.datasets.ava import AVADataset
from mmstan.datasets.readers.choose import find_duration
from mmstan.datasets.reliable import list_wrapped
from mmstan.datasets.transforms.sample_keyframe import SLACK
from mmstan.evaluation.average_precision import box_overlaps


def check_detection_data(loop: EpochBasedTrainLoop) -> None:
    """Check every :class:`AVADataset` that a run reads, and log how person boxes fit.

    Raises:
        ValueError: The model has another number of classes, a key frame is not in its video, or
            no person box overlaps an annotated one.
    """
    val_loader = getattr(loop.runner.val_loop, 'dataloader', None)
    for loader in filter(None, (loop.dataloader, val_loader)):
        for dataset in _list_ava(loader.dataset):
            _check_classes(unwrap_model(loop.runner.model), dataset)
            check_times(dataset)
            check_person_boxes(dataset)


def check_times(dataset: AVADataset) -> None:
    """Raise ValueError if a key frame is before the beginning or after the end of its video."""
    durations: dict[str, float | None] = {}
    for sample in dataset.list_key_frames():
        filename = sample['filename']
        if filename not in durations:
            durations[filename] = find_duration(filename)
        duration, start = durations[filename], dataset.timestamp_start
        if duration is None:  # the file is broken: reading it will say why
            continue
        if not start <= sample['timestamp'] < start + duration + SLACK:
            raise ValueError(
                f'{sample["origin"]}: second {sample["timestamp"]:g} is not in {filename}, which '
                f'shows seconds {start:g} to {start + duration:g}: timestamp_start={start:g} is '
                'the second at which the file begins (900 for the cut videos of AVA, 0 for whole '
                'videos); correct it or the line'
            )


def check_person_boxes(dataset: AVADataset) -> None:
    """Log the share of key frames with a person box on an annotated one (overlap >= 0.5).

    Raises:
        ValueError: There is none, though there are boxes.
    """
    if not dataset.proposal_file:
        return
    annotated = boxed = hit = 0
    for sample in dataset.list_key_frames():
        true, found = sample['gt_bboxes'], sample['person_boxes'][:, :4]
        annotated += len(true) > 0
        boxed += len(true) > 0 and len(found) > 0
        rows = np.repeat(true, len(found), axis=0), np.tile(found, (len(true), 1))
        hit += bool((box_overlaps(*rows) >= 0.5).any())
    share = hit / max(annotated, 1)
    text = (
        f'{dataset.proposal_file}: {hit} of {annotated} key frames ({share:.1%}) have a person box '
        'that overlaps an annotated one by half or more'
    )
    if not hit and annotated:
        fix = (
            'boxes are fractions of width and height, x1,y1,x2,y2: were they made of the same '
            'videos?'
            if boxed
            else 'the file has boxes at other key frames; is it of the same split?'
        )
        raise ValueError(f'{text}; {fix}')
    print_log(text, 'current', level=logging.INFO if share >= 0.5 else logging.WARNING)


def _check_classes(model: nn.Module, dataset: AVADataset) -> None:
    layers = dict(model.named_modules())
    last = layers.get('roi_head.bbox_head.fc_cls')
    classes = getattr(last, 'out_features', dataset.num_classes)
    if classes != dataset.num_classes:
        raise ValueError(
            f'the model has num_classes={classes} (roi_head.bbox_head), and the data set of '
            f'ann_file={dataset.ann_file!r} num_classes={dataset.num_classes}: both are the '
            'largest action id and 1'
        )


def _list_ava(dataset: Any) -> Iterator[AVADataset]:
    """Give the data sets of detection in a data set, through wrappers."""
    if isinstance(dataset, AVADataset):
        yield dataset
        return
    for part in list_wrapped(dataset):
        yield from _list_ava(part)
