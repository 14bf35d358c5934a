"""Draw questions about a video with the answers of several models (Mug-STAN, Fig. 11)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mmstan.visualization.film import draw_film

_RIGHT, _WRONG, _NEUTRAL = '#1a7f37', '#cf222e', '#24292f'


@dataclass(frozen=True)
class Turn:
    """A question and its answers.

    Attributes:
        question: The question.
        answers: Name of a model -> its answer.
        truth: The right answer; None where there is none to compare with.
    """

    question: str
    answers: Mapping[str, str]
    truth: str | None = None


def draw_dialogue(path: str | Path, frames: np.ndarray, turns: Sequence[Turn]) -> None:
    """Write one picture: the film, below it each question and the models' answers to it.

    Args:
        path: The picture's path, ``.png``.
        frames: (T, H, W, 3) uint8 RGB.
        turns: The questions, in their order. An answer is green or red where the truth is known.
    """
    lines = [line for turn in turns for line in _list_lines(turn)]
    heights = [1.5, 0.22 * (len(lines) + 1)]  # inches
    figure = Figure(figsize=(10, sum(heights)), layout='constrained')
    film, text = figure.subplots(2, height_ratios=heights)
    draw_film(film, frames)
    text.axis('off')
    text.set_ylim(len(lines), 0)
    for row, (line, color, weight) in enumerate(lines):
        text.text(
            0, row, line, color=color, fontweight=weight, fontsize=9, va='top', parse_math=False
        )
    figure.savefig(path, dpi=110)


def _list_lines(turn: Turn) -> list[tuple[str, str, str]]:
    """Text, colour and weight of each line of a turn."""
    lines = [(text, _NEUTRAL, 'bold') for text in textwrap.wrap(turn.question, 110)]
    for model, answer in turn.answers.items():
        color = _NEUTRAL
        if turn.truth is not None:
            color = _RIGHT if answer == turn.truth else _WRONG
        wrapped = textwrap.wrap(f'{model}: {answer}', 110, subsequent_indent='    ')
        lines += [(text, color, 'normal') for text in wrapped]
    return lines
