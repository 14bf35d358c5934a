"""The table of classes of a detection test, and reasons for an mAP of 0."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmstan.datasets.ava_files import KeyFrame, name_frame
from mmstan.evaluation.detection_scores import ClassScore
from mmstan.wording import name_a_few


class Reading(NamedTuple):
    """Facts about the detections of a test, for its report."""

    frames: Sequence[KeyFrame]
    """The key frames of the test that count."""
    true_frames: Sequence[KeyFrame]
    """The key frames that the ground truth names."""
    boxes: int
    """Number of detected boxes."""
    overlapping: int
    """Number of boxes that overlap one of the ground truth by half or more."""
    outside: Sequence[int]
    """Actions of the label map for which the model has no column."""


def format_scores(scores: Mapping[int, ClassScore], names: Mapping[int, str]) -> str:
    """Format the table of all classes."""
    width = max(map(len, names.values()))
    rows = [f'{"id":>4}  {"action":<{width}}  {"AP":>6}  {"truth":>7}  {"found":>8}']
    for action, score in scores.items():
        value = '-' if np.isnan(score.precision) else f'{score.precision:.4f}'
        rows.append(
            f'{action:>4}  {names[action]:<{width}}  {value:>6}  {score.positives:>7}  '
            f'{score.detections:>8}'
        )
    return '\n'.join(['average precision at overlap 0.5', *rows])


def summarise_reading(
    scores: Mapping[int, ClassScore], reading: Reading, threshold: float | None
) -> str:
    """Say how many classes, boxes and key frames there are.

    Args:
        scores: The score of each action.
        reading: Facts about the detections.
        threshold: The smallest score of person boxes, if it is known.
    """
    counted = sum(score.positives > 0 for score in scores.values())
    tested = set(reading.frames)
    untested = sum(frame not in tested for frame in reading.true_frames)
    persons = '' if threshold is None else f', person boxes with score >= {threshold:g}'
    text = (
        f'mAP is the mean of {counted} classes; {len(scores) - counted} of the label map have no '
        f'ground truth; {reading.boxes} boxes at {len(reading.frames)} key frames{persons}'
    )
    if untested:
        text += (
            f'; {untested} of {len(reading.true_frames)} annotated key frames were not tested, and '
            'their persons count as missed'
        )
    return text


def write_scores(scores: Mapping[int, ClassScore], names: Mapping[int, str], path: Path) -> None:
    """Write the table as csv; the AP of a class that does not count is empty."""
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(['id', 'action', 'ap', 'ap_all_frames', 'ground_truth', 'detections'])
        for action, score in scores.items():
            values = [
                '' if np.isnan(value) else repr(value)
                for value in (score.precision, score.precision_all_frames)
            ]
            writer.writerow([action, names[action], *values, score.positives, score.detections])


def explain_zero(reading: Reading) -> str:
    """Say why no detection is right, and where to look."""
    if not reading.boxes:
        return (
            f'there is no detection: none of the {len(reading.frames)} key frames has a person '
            'box; look at proposal_file'
        )
    if not set(reading.frames) & set(reading.true_frames):
        ours, theirs = (
            name_a_few(map(name_frame, frames), most=2)
            for frames in (reading.frames, reading.true_frames)
        )
        return (
            f'the timestamps are apart: tested were {ours}, and ann_file has {theirs}; are the '
            'data set and the metric given the same split?'
        )
    if not reading.overlapping:
        return (
            f'there is no overlap: none of the {reading.boxes} boxes overlaps an annotated one by '
            'half; boxes are fractions of width and height, x1,y1,x2,y2'
        )
    return (
        f'the labels are outside the map: the model has no column for {len(reading.outside)} '
        f'actions of the label map ({name_a_few(reading.outside)}), and the others are not in the '
        'ground truth where boxes overlap; num_classes is the largest id and 1'
    )
