"""Moving Shapes with pairs of shape and motion as classes, 16 of 40 never seen in training.

Every shape and every motion occurs in training, so a model that has learned the meaning of their
names can recognise the unseen pairs too. Accuracy on these is 6 % by chance, 50 % from the motion
alone and 31 % from the shape alone. The annotations come from ``{train,test}_scenes.json`` and
follow the protocol of UCF101 and HMDB51 (``test_splits``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mmstan.datasets.moving_shapes.scenes import CLASS_NAMES, MOTIONS, SHAPES

PARTS = 3
Scenes = Mapping[str, Sequence[Mapping[str, str]]]
_NAMES = dict(zip(MOTIONS, CLASS_NAMES))


def is_unseen(shape: str, motion: str) -> bool:
    """Whether a pair is kept from training: both directions of an axis, for two of five shapes."""
    return SHAPES.index(shape) - MOTIONS.index(motion) // 2 in (0, 1)


def list_pairs(*, unseen: bool) -> list[str]:
    """List the names of the 24 seen or the 16 unseen pairs, in class order.

    >>> list_pairs(unseen=True)[:3]
    ['square moving left', 'square moving right', 'circle moving left']
    """
    pairs = [(shape, motion) for shape in SHAPES for motion in MOTIONS]
    return [_name(*pair) for pair in pairs if is_unseen(*pair) == unseen]


def label_pairs(scenes: Scenes, *, unseen: bool) -> list[str]:
    """List ``path label`` for the videos of the seen or the unseen pairs.

    Args:
        scenes: The scenes of each video, as in ``train_scenes.json``.
        unseen: Which pairs; labels are places in :func:`list_pairs`.
    """
    labels = {name: label for label, name in enumerate(list_pairs(unseen=unseen))}
    lines = []
    for path, (event, *_) in scenes.items():
        if is_unseen(event['shape'], event['motion']) == unseen:
            lines.append(f'{path} {labels[_name(event["shape"], event["motion"])]}')
    return lines


def write_pairs(folder: str | os.PathLike[str]) -> Path:
    """Write the annotations of the pairs into ``folder/pairs``.

    ``train.txt`` and ``test.txt`` list videos of the seen pairs. ``unseen_{1,2,3}.txt`` list all
    videos of the unseen pairs, from both splits, in three parts. ``{seen,unseen}_classes.txt``
    name the classes.

    Args:
        folder: The recognition task of Moving Shapes.

    Returns:
        ``folder/pairs``.
    """
    folder = Path(folder)
    out = folder / 'pairs'
    scenes = {s: json.loads((folder / f'{s}_scenes.json').read_text()) for s in ('train', 'test')}
    out.mkdir(exist_ok=True)
    for split, of_split in scenes.items():
        _write(out / f'{split}.txt', label_pairs(of_split, unseen=False))
    unseen = label_pairs({**scenes['train'], **scenes['test']}, unseen=True)
    for part in range(PARTS):
        _write(out / f'unseen_{part + 1}.txt', unseen[part::PARTS])
    _write(out / 'seen_classes.txt', list_pairs(unseen=False))
    _write(out / 'unseen_classes.txt', list_pairs(unseen=True))
    return out


def _name(shape: str, motion: str) -> str:
    return f'{shape} {_NAMES[motion]}'


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text('\n'.join(lines) + '\n', 'utf-8')
