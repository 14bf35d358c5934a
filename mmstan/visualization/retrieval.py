"""Draw retrieval results: the videos found for a text, and Mug's weights."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmstan.visualization.film import draw_film

_TRUTH, _OTHER, _BAR = '#1a7f37', '#57606a', '#0969da'
_WIDEST = 20.0  # inches


@dataclass(frozen=True)
class Hit:
    """A video found for a text.

    Attributes:
        frames: (T, H, W, 3) uint8 RGB.
        name: Its file or id.
        rank: 1 for the best.
        score: Its similarity to the text.
        truth: Whether the text describes it.
    """

    frames: np.ndarray
    name: str
    rank: int
    score: float
    truth: bool = False


def draw_retrieved(path: str | Path, query: str, hits: Sequence[Hit]) -> None:
    """Write a picture of the videos found for a text, one below the other.

    Args:
        path: The picture's path, ``.png``.
        query: The text.
        hits: The videos, in the order of the picture; the true one is marked.
    """
    figure = Figure(figsize=(11, 0.5 + 0.9 * len(hits)), layout='constrained')
    _title(figure, query, letters=130)
    for axes, hit in zip(np.ravel(figure.subplots(len(hits), squeeze=False)), hits):
        draw_hit(axes, hit)
    figure.savefig(path, dpi=110)


def draw_hit(axes: Axes, hit: Hit) -> None:
    """Draw a video's frames, its rank and name to the left and its score to the right."""
    w, h = draw_film(axes, hit.frames)
    color = _TRUTH if hit.truth else _OTHER
    name = f'{hit.rank}. {hit.name}'
    score = f'{hit.score:.3f}' + ('\nground truth' if hit.truth else '')
    end = (len(hit.frames) + 0.2) * w
    look: dict[str, Any] = dict(va='center', fontsize=8, color=color, parse_math=False)
    axes.text(-w * 0.2, h / 2, name, ha='right', **look)
    axes.text(end, h / 2, score, **look)


def draw_mug_weights(
    path: str | Path,
    frames: np.ndarray,
    frame_weights: np.ndarray,
    words: Sequence[str],
    word_weights: np.ndarray,
    *,
    title: str = '',
) -> None:
    """Write a picture of Mug's weights of frames, by the text, and of words, by the video.

    See Mug-STAN Fig. 10.

    Args:
        path: The picture's path, ``.png``.
        frames: (T, H, W, 3) uint8 RGB.
        frame_weights: The paper's u, (T,).
        words: The J tokens of the text, as words.
        word_weights: The paper's w, (J,).
        title: Text above the picture.

    Raises:
        ValueError: The numbers of weights and frames, or of weights and words, differ.
    """
    for name, things, weights in (
        ('frame_weights', frames, frame_weights),
        ('word_weights', words, word_weights),
    ):
        if len(things) != len(weights):
            raise ValueError(
                f'{name} has {len(weights)} weights for {len(things)}; leave out those of padding'
            )
    width = min(max(1.1 * len(frames), 0.5 * len(words), 4), _WIDEST)
    figure = Figure(figsize=(width, 5), layout='constrained')
    _title(figure, title, letters=int(12 * width))
    top, bottom = figure.subplots(2, height_ratios=(1.2, 1))
    draw_frame_weights(top, frames, frame_weights)
    draw_word_weights(bottom, words, word_weights)
    figure.savefig(path, dpi=110)


def draw_frame_weights(axes: Axes, frames: np.ndarray, weights: np.ndarray) -> None:
    """Draw frames and a bar above each, labelled with its weight.

    The bar of the largest weight is as high as a frame.
    """
    w, h = draw_film(axes, frames)
    heights = h * weights / weights.max()
    middles = (np.arange(len(frames)) + 0.5) * w
    axes.bar(middles, -heights, width=0.6 * w, color=_BAR)  # an image's y axis points down
    for x, height, weight in zip(middles, heights, weights):
        label = f'{weight:.2f}'
        axes.text(x, -height - 0.05 * h, label, ha='center', va='bottom', fontsize=7)
    axes.set_ylim(h, -1.3 * h)


def draw_word_weights(axes: Axes, words: Sequence[str], weights: np.ndarray) -> None:
    """Draw a bar for each word."""
    axes.bar(range(len(words)), weights, color=_BAR)
    look: dict[str, Any] = dict(rotation=45, ha='right', fontsize=8, parse_math=False)
    axes.set_xticks(range(len(words)), words, **look)
    axes.set_ylabel('weight', fontsize=8)
    axes.tick_params(axis='y', labelsize=7)


def _title(figure: Figure, text: str, *, letters: int) -> None:
    """Write ``text`` above a figure, in lines of ``letters`` letters; a $ starts no formula."""
    figure.suptitle(textwrap.fill(text, letters), fontsize=10, parse_math=False)
