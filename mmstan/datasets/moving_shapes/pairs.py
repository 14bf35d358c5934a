"""Moving Shapes with pairs of shape and motion as classes, 16 of 40 never seen in training.

Every shape and every motion is seen, so that who has learned what their names mean can tell the
unseen pairs too: chance is 6 % of them, the motion alone gives 50 %, the shape alone 31 %. The
annotations are made from ``{train,test}_scenes.json`` and serve the same
protocol as UCF101 and HMDB51 (``test_splits``).
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


def pair_names(*, unseen: bool) -> list[str]:
    """Names of the 24 seen or the 16 unseen pairs, in class order.

    >>> pair_names(unseen=True)[:3]
    ['square moving left', 'square moving right', 'circle moving left']
    """
    pairs = [(shape, motion) for shape in SHAPES for motion in MOTIONS]
    return [_name(*pair) for pair in pairs if is_unseen(*pair) == unseen]


def pair_lines(scenes: Scenes, *, unseen: bool) -> list[str]:
    """``path label`` of the videos of the seen or the unseen pairs.

    Args:
        scenes: What each video shows, as ``train_scenes.json`` has it.
        unseen: Which pairs; labels are places in :func:`pair_names`.
    """
    labels = {name: label for label, name in enumerate(pair_names(unseen=unseen))}
    lines = []
    for path, (event, *_) in scenes.items():
        if is_unseen(event['shape'], event['motion']) == unseen:
            lines.append(f'{path} {labels[_name(event["shape"], event["motion"])]}')
    return lines


def write_pairs(folder: str | os.PathLike[str]) -> Path:
    """Write the annotations into ``folder/pairs``, ``folder`` being Moving Shapes' recognition.

    ``train.txt`` and ``test.txt`` are the seen pairs; ``unseen_{1,2,3}.txt`` all videos of the
    unseen ones, whichever split they are of, in three parts; ``{seen,unseen}_classes.txt``.

    Returns:
        ``folder/pairs``.
    """
    folder = Path(folder)
    out = folder / 'pairs'
    scenes = {s: json.loads((folder / f'{s}_scenes.json').read_text()) for s in ('train', 'test')}
    out.mkdir(exist_ok=True)
    for split, of_split in scenes.items():
        _write(out / f'{split}.txt', pair_lines(of_split, unseen=False))
    unseen = pair_lines({**scenes['train'], **scenes['test']}, unseen=True)
    for part in range(PARTS):
        _write(out / f'unseen_{part + 1}.txt', unseen[part::PARTS])
    _write(out / 'seen_classes.txt', pair_names(unseen=False))
    _write(out / 'unseen_classes.txt', pair_names(unseen=True))
    return out


def _name(shape: str, motion: str) -> str:
    return f'{shape} {_NAMES[motion]}'


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text('\n'.join(lines) + '\n', 'utf-8')
