"""Persons of key frames, from the lines of AVA's annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from mmengine.logging import print_log

from mmstan.datasets.ava_files import Annotations, KeyFrame, read_excluded
from mmstan.wording import name_a_few


class Person(NamedTuple):
    """A person at a key frame."""

    line: int
    """The first line of the annotations that names this person."""
    box: tuple[float, ...]
    """x1, y1, x2, y2 as fractions of width and height."""
    actions: list[int]
    """Columns of labels, 1 to K - 1."""
    entity: int


def number_actions(
    annotations: Annotations,
    num_classes: int,
    custom_classes: Sequence[int] | None = None,
    known: Mapping[int, str] | None = None,
) -> np.ndarray:
    """Turn the actions' ids into columns of labels, int (n,); 0 is no action to learn.

    Args:
        annotations: The lines.
        num_classes: K; columns are 1 to K - 1.
        custom_classes: Ids that become 1, 2, ...; others become 0. By default an id is its column.
        known: The label map.

    Raises:
        ValueError: An id is not below K, ``custom_classes`` fit neither K nor the label map, or
            the label map fits neither K nor the lines.
    """
    if custom_classes is None:
        wrong = np.flatnonzero(annotations.actions >= num_classes)
        if len(wrong):
            raise annotations.file.error(
                f'the action {annotations.actions[wrong[0]]} is none of 1 to {num_classes - 1}; '
                'num_classes is the largest id and 1 (0 is kept for no action)',
                line=int(annotations.lines[wrong[0]]),
            )
        if known:
            _compare_label_map(annotations, num_classes, known)
        return annotations.actions
    check_custom_classes(custom_classes, known)
    if num_classes != len(custom_classes) + 1:
        raise ValueError(
            f'num_classes={num_classes} does not fit custom_classes of {len(custom_classes)} '
            f'actions; set num_classes={len(custom_classes) + 1} (0 is kept for no action)'
        )
    columns = {action: column for column, action in enumerate(custom_classes, start=1)}
    return np.array([columns.get(action, 0) for action in annotations.actions.tolist()])


def _compare_label_map(
    annotations: Annotations, num_classes: int, known: Mapping[int, str]
) -> None:
    """Log the actions that the label map lacks; raise ValueError if it cannot be of these lines."""
    if max(known) >= num_classes:
        raise ValueError(
            f'num_classes={num_classes} is too small for label_file, which has the action '
            f'{max(known)}: it is the largest id and 1 (0 is kept for no action)'
        )
    actions, counts = np.unique(annotations.actions, return_counts=True)
    absent = ~np.isin(actions, [*known])
    if absent.all():
        raise annotations.file.error(
            f'its actions are {name_a_few(actions)}, and label_file has {name_a_few(known)}: the '
            'two files do not belong together'
        )
    if absent.any():
        print_log(
            f'{counts[absent].sum()} of {counts.sum()} lines of {annotations.file.path} have '
            f'actions that label_file lacks ({name_a_few(actions[absent])}): they are learned, and '
            'a metric with this label map does not count them',
            'current',
        )


def check_custom_classes(custom_classes: Sequence[int], known: Mapping[int, str] | None) -> None:
    """Raise ValueError unless ``custom_classes`` are different ids, all in the label map."""
    if not custom_classes or len(set(custom_classes)) < len(custom_classes):
        raise ValueError(f'custom_classes={[*custom_classes]} must be different ids, at least one')
    absent = [action for action in custom_classes if action < 1 or (known and action not in known)]
    if absent:
        ids = f'which has {name_a_few(known)}' if known else 'whose ids are 1 or more'
        raise ValueError(
            f'custom_classes={[*custom_classes]}: {absent[0]} is not in the label map, {ids}'
        )


def group_persons(annotations: Annotations, actions: np.ndarray) -> dict[KeyFrame, list[Person]]:
    """Group lines by key frame and person; a person is one box at one time.

    Args:
        annotations: The lines.
        actions: Column of each line's label, int (n,); lines with 0 are left out.

    Returns:
        The persons of each key frame, both in the file's order. Where the file has no ids of
        persons, the persons of a frame are numbered from 0.
    """
    found: dict[KeyFrame, dict[tuple[float, ...], Person]] = {}
    entities = annotations.entities
    boxes = np.clip(annotations.boxes, 0, 1).tolist()
    for index, action in enumerate(actions.tolist()):
        if action == 0:
            continue
        persons = found.setdefault(annotations.frames[index], {})
        box = tuple(boxes[index])
        if box not in persons:
            entity = len(persons) if entities is None else int(entities[index])
            persons[box] = Person(int(annotations.lines[index]), box, [], entity)
        persons[box].actions.append(action)
    return {frame: [*persons.values()] for frame, persons in found.items()}


def drop_excluded(frames: Sequence[KeyFrame], argument: str, path: str) -> list[KeyFrame]:
    """Leave out the key frames that a file excludes, with a line in the log.

    Raises:
        ValueError: All are excluded, or a line of the file is no key frame.
    """
    excluded = read_excluded(argument, path)
    kept = [frame for frame in frames if frame not in excluded]
    print_log(f'{path} leaves out {len(frames) - len(kept)} of {len(frames)} key frames', 'current')
    if not kept:
        raise ValueError(
            f'{argument}={path!r} leaves out all {len(frames)} key frames; is it the file of '
            'another split?'
        )
    return kept
