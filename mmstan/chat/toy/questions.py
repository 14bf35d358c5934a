"""Three questions about every video of Moving Shapes, and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmstan.datasets.moving_shapes.scenes import COLORS, MOTIONS, SHAPES
from mmstan.text_files import TextFile

QUESTIONS = {
    'which way': 'which way does the shape move ?',
    'colour': 'what colour is it ?',
    'shape': 'what shape is it ?',
}
"""Name of a question -> its words. Reversing the frames changes the answer of the first alone."""

WORDS = tuple(
    dict.fromkeys(
        [*' '.join(['user assistant :', *QUESTIONS.values()]).split(), *MOTIONS, *COLORS, *SHAPES]
    )
)
"""All words of the questions and answers."""


@dataclass(frozen=True)
class ToyVideo:
    """A video and its answer to each of :data:`QUESTIONS`, one word."""

    path: Path
    answers: dict[str, str]


def list_videos(folder: Path, split: str, count: int) -> list[ToyVideo]:
    """The first ``count`` videos of a split of Moving Shapes' recognition task.

    Args:
        folder: Folder of the task.
        split: ``'train'`` or ``'test'``.
        count: How many.

    Raises:
        ValueError: There are fewer.
    """
    file = TextFile('scenes', str(folder / f'{split}_scenes.json'))
    scenes = file.read_json()
    if len(scenes) < count:
        raise ValueError(f'{file.path}: {len(scenes)} videos, {count} are wanted')
    return [
        ToyVideo(
            folder / name,
            {'which way': scene['motion'], 'colour': scene['color'], 'shape': scene['shape']},
        )
        for name, (scene,) in list(scenes.items())[:count]
    ]


def find_answers(videos: Sequence[ToyVideo], question: str) -> list[str]:
    """The answers of videos to a question of :data:`QUESTIONS`."""
    return [video.answers[question] for video in videos]
