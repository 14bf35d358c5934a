"""Draw texts next to the frames of a video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from mmstan.visualization.film import draw_film
from mmstan.visualization.retrieval import draw_word_weights

Words = tuple[Sequence[str], np.ndarray]
"""The J tokens of a text as words, and their weights (J,)."""


def draw_comparison(
    frames: np.ndarray,
    texts: Sequence[str],
    values: np.ndarray,
    scores: Sequence[float],
    words: Sequence[Words] = (),
    *,
    label: str,
) -> Figure:
    """Draw a film strip, below it a heat map of texts and frames, below it the weights of words.

    Args:
        frames: (T, H, W, 3) uint8 RGB.
        texts: A texts.
        values: A value for each text and frame (A, T').
        scores: The similarity of each text and the video, (A,).
        words: Words of each text; none leaves them out.
        label: What the values are.
    """
    heights = [1.4, 0.45 * len(texts) + 0.5, *[1.6] * len(words)]  # inches
    figure = Figure(figsize=(10, sum(heights)), layout='constrained')
    rows = figure.subplots(len(heights), height_ratios=heights)
    draw_film(rows[0], frames)
    heat = rows[1]
    heat.imshow(values, cmap='viridis', aspect='auto')
    lines = [f'{_shorten(text)}  {score:.3f}' for text, score in zip(texts, scores)]
    heat.set_yticks(range(len(texts)), lines, fontsize=9, parse_math=False)
    heat.set_xticks(range(values.shape[1]), range(1, values.shape[1] + 1), fontsize=8)
    heat.set_title(label, fontsize=9)
    middle = (values.min() + values.max()) / 2
    for (row, column), value in np.ndenumerate(values):
        color = 'white' if value < middle else 'black'
        heat.text(column, row, f'{value:.2f}', ha='center', va='center', color=color, fontsize=8)
    for axes, (names, weights) in zip(rows[2:], words):
        draw_word_weights(axes, names, weights)
    return figure


def _shorten(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f'{text[: most - 1]}…'
