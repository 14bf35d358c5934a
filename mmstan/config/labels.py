"""A check that the labels in the lists of a config are classes of its head."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mmaction.datasets import VideoDataset
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.utils import is_abs

from mmstan.config.walk import walk_named
from mmstan.datasets.epic_kitchens import EpicKitchens, read_segments
from mmstan.datasets.video_lists import read_video_list
from mmstan.models.heads.class_names import read_class_names
from mmstan.registry import DATASETS
from mmstan.text_files import TextFile
from mmstan.wording import name_a_few


class Classes(NamedTuple):
    """The classes of a head: the key of the head in the config, and their number K."""

    where: str
    number: int


class LabelList(NamedTuple):
    """An annotation file and, by task, the first line of each label in it."""

    file: TextFile
    first_lines: Sequence[Mapping[int, int]]
    multi_class: bool


def check_labels(cfg: Config, splits: Sequence[str]) -> None:
    """Compare the labels of lists, the names of classes and the classes of heads.

    Reads the lists of ``VideoDataset`` and ``EpicKitchens``, also in wrappers. Heads are
    ``model.cls_head`` or, if that gives two answers, its ``verb`` and ``noun``. Warns of classes
    without a video, and of classes that occur in validation but not in training.

    Args:
        cfg: A config; its annotations and files of class names must exist.
        splits: Of ``'train'``, ``'val'`` and ``'test'``.

    Raises:
        ValueError: A label is outside the classes, all labels begin at 1, a line has no label, or
            the numbers of names and of classes differ.
    """
    tasks = count_classes(cfg)
    trained: list[set[int]] = []
    for split in splits if tasks else ():
        loader = f'{split}_dataloader'
        dataset = (cfg.get(loader) or {}).get('dataset')
        lists = list(_read_lists(dataset, f'{loader}.dataset', tasks))
        # The range is checked list by list; the lists of a split together must have every class.
        for task, classes in enumerate(tasks if lists else ()):
            for read in lists:
                _check_range(read, task, classes)
            seen = {label for read in lists for label in read.first_lines[task]}
            _check_start(lists, task, classes, seen)
            _point_out(lists, classes, {*range(classes.number)} - seen, 'has no video of')
            if split == 'train':
                trained.append(seen)
            elif trained:
                _point_out(lists, classes, seen - trained[task], 'has what training has not:')


def count_classes(cfg: Config) -> list[Classes]:
    """Count the classes of a recognition head, or of its two parts for verbs and nouns.

    The list is empty for other models.

    Raises:
        ValueError: A head has another number of names than ``num_classes``.
    """
    head = (cfg.get('model') or {}).get('cls_head') or {}
    parts = {f'model.cls_head.{name}': head[name] for name in ('verb', 'noun') if name in head}
    found = []
    for where, part in (parts or {'model.cls_head': head}).items():
        names, count = part.get('class_names'), part.get('num_classes')
        if names is not None:
            named = len(read_class_names(names))
            if count not in (None, named):
                raise ValueError(
                    f'{where}.num_classes={count}, but class_names={names!r} has {named} names; '
                    'make them agree, or leave num_classes out'
                )
            count = named
        if isinstance(count, int) and count > 0:
            found.append(Classes(where, count))
    return found


def _read_lists(dataset: Any, where: str, tasks: Sequence[Classes]) -> Iterator[LabelList]:
    for key, node in walk_named(dataset, where):
        kind = node.get('type')
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        path = node.get('ann_file')
        if not isinstance(kind, type) or not path:
            continue
        if node.get('data_root') and not is_abs(path):
            path = os.path.join(node['data_root'], path)
        multi_class, argument = bool(node.get('multi_class')), f'{key}.ann_file'
        lines: list[dict[int, int]] = [{} for _ in tasks]
        file = TextFile(argument, path)
        for line, labels in _read_labels(kind, argument, path, node):
            if not multi_class and len(labels) != len(tasks):
                raise file.error(
                    f'a video has {len(labels)} labels, and the model {len(tasks)} heads '
                    f'({", ".join(task.where for task in tasks)})',
                    line=line,
                )
            for i, label in enumerate(labels):
                lines[0 if multi_class else i].setdefault(label, line)
        if any(lines):
            yield LabelList(file, lines, multi_class)
        if multi_class and node.get('num_classes') not in (None, tasks[0].number):
            raise ValueError(
                f'{key}.num_classes={node["num_classes"]}, but {tasks[0].where} has '
                f'{tasks[0].number} classes; make them agree'
            )


def _read_labels(
    kind: type, argument: str, path: str, node: Mapping[str, Any]
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Read line and labels of each sample without building the data set; skip other kinds."""
    if issubclass(kind, VideoDataset):
        options = dict(
            delimiter=node.get('delimiter', ' '), multi_class=bool(node.get('multi_class'))
        )
        yield from ((v.line, v.labels) for v in read_video_list(argument, path, **options))
    elif issubclass(kind, EpicKitchens):
        yield from ((s.line, s.labels) for s in read_segments(argument, path))


def _check_range(read: LabelList, task: int, classes: Classes) -> None:
    lines = read.first_lines[task]
    outside = [label for label in lines if label >= classes.number]
    if not outside:
        return
    low, high = min(lines), max(lines)
    guess = 'are they of another data set, or class names of another one?'
    if low == 1 and high <= classes.number:
        guess = 'they start at 1? subtract 1 from each'
    raise read.file.error(
        f'the label {outside[0]} is no class of {classes.where}, which has 0 to '
        f'{classes.number - 1}; labels from {low} to {high}, {classes.number} classes: {guess}',
        line=lines[outside[0]],
    )


def _check_start(lists: Sequence[LabelList], task: int, classes: Classes, seen: set[int]) -> None:
    """Refuse a split with videos of all classes from 1 on, but without class 0."""
    # Half of the classes at least: a small list may lack class 0 by chance.
    several = any(read.multi_class for read in lists)
    counted = len(seen) > 1 and seen == {*range(1, max(seen) + 1)}
    if counted and not several and 2 * len(seen) >= classes.number:
        raise lists[0].file.error(
            f'labels from 1 to {max(seen)}, {classes.number} classes ({classes.where}), and no '
            'video of class 0: they start at 1? Subtract 1 from each; or, if class 0 has no '
            'videos on purpose, put its name last',
            line=min(lists[0].first_lines[task].values()),
        )


def _point_out(
    lists: Sequence[LabelList], classes: Classes, labels: set[int], problem: str
) -> None:
    if labels:
        print_log(
            f'{name_a_few(read.file.path for read in lists)} {problem} {len(labels)} of the '
            f'{classes.number} classes of {classes.where}: {name_a_few(sorted(labels))}',
            logger='current',
            level=logging.WARNING,
        )
