"""Draw recognition results: film strips with truth and predictions, confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmstan.visualization.film import draw_film

_RIGHT, _WRONG = '#1a7f37', '#cf222e'


@dataclass(frozen=True)
class Strip:
    """A video with its true class and the classes that models predict.

    Attributes:
        frames: (T, H, W, 3) uint8 RGB.
        truth: Name of its class.
        predictions: Model name -> name of the class it chose.
    """

    frames: np.ndarray
    truth: str
    predictions: Mapping[str, str]


def count_confusions(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes): rows are the true classes, columns the predicted ones."""
    pairs = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return pairs.reshape(classes, classes)


def draw_recognition(
    path: str | Path,
    strips: Sequence[Strip],
    matrices: Mapping[str, np.ndarray],
    class_names: Sequence[str],
) -> None:
    """Write one picture: the strips below each other, then the confusion matrices side by side.

    Args:
        path: The picture's path, ``.png``.
        strips: Videos to show.
        matrices: Model name -> :func:`count_confusions`.
        class_names: Names of the classes, in class order.
    """
    heights = [0.8] * len(strips) + [5.5]  # inches
    figure = Figure(figsize=(11, sum(heights)), layout='constrained')
    grid = figure.add_gridspec(len(heights), len(matrices), height_ratios=heights)
    for row, strip in enumerate(strips):
        draw_strip(figure.add_subplot(grid[row, :]), strip)
    for column, (name, matrix) in enumerate(matrices.items()):
        axes = figure.add_subplot(grid[len(strips), column])
        draw_confusion(axes, matrix, class_names, title=name)
    figure.savefig(path, dpi=110)


def draw_strip(axes: Axes, strip: Strip) -> None:
    """Draw a video's frames, its true class to the left and the predictions to the right."""
    w, h = draw_film(axes, strip.frames)
    axes.text(-w * 0.2, h / 2, strip.truth, ha='right', va='center', fontsize=9)
    # The middles of equally high lines: 2 predictions stand at 1/4 and 3/4 of the height.
    lines = np.linspace(0, h, 2 * len(strip.predictions) + 1)[1::2]
    for y, (model, name) in zip(lines, strip.predictions.items()):
        color = _RIGHT if name == strip.truth else _WRONG
        x = (len(strip.frames) + 0.2) * w
        axes.text(x, y, f'{model}: {name}', color=color, va='center', fontsize=8)


def draw_confusion(
    axes: Axes, matrix: np.ndarray, class_names: Sequence[str], *, title: str
) -> None:
    """Draw a confusion matrix in per cent of the true class."""
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap='Blues', vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(share):
        color = 'white' if value > 0.5 else 'black'
        text = f'{100 * value:.0f}'
        axes.text(column, row, text, ha='center', va='center', color=color, fontsize=7)
    axes.set_xticks(range(len(class_names)), class_names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(class_names)), class_names, fontsize=7)
    axes.set_xlabel('predicted', fontsize=8)
    axes.set_ylabel('true', fontsize=8)
    accuracy = np.trace(matrix) / max(matrix.sum(), 1)
    axes.set_title(f'{title}: {100 * accuracy:.1f} % top-1', fontsize=9)
