"""Which classes a model confuses: a picture, a table, the worst pairs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from mmstan.visualization.recognition import draw_confusion

_MOST_NUMBERED = 40
"""Up to this many classes, each cell has its number and each row its name."""


class Confusion(NamedTuple):
    """A pair of classes that a model confuses."""

    truth: int
    predicted: int
    videos: int
    """Videos of the class ``truth`` that were taken for ``predicted``."""
    share: float
    """These videos in per cent of all of the class."""


def list_confusions(matrix: np.ndarray, most: int) -> list[Confusion]:
    """The pairs of classes that are confused most often, the worst first.

    Args:
        matrix: Counts (K, K), as :func:`~mmstan.visualization.count_confusions` gives them.
        most: How many pairs to give.

    >>> list_confusions(np.array([[2, 0, 0], [3, 0, 1], [0, 0, 4]]), most=5)
    [Confusion(truth=1, predicted=0, videos=3, share=75.0), \
Confusion(truth=1, predicted=2, videos=1, share=25.0)]
    """
    wrong = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    order = np.argsort(-wrong, axis=None, kind='stable')[:most]
    pairs = (divmod(int(i), len(matrix)) for i in order)
    return [
        Confusion(row, column, int(wrong[row, column]), float(100 * wrong[row, column] / total))
        for row, column in pairs
        if (total := matrix[row].sum()) and wrong[row, column]
    ]


def write_confusions(path: str | Path, matrix: np.ndarray, class_names: Sequence[str]) -> None:
    """Write counts (K, K) as a table: a row for each true class, a column for each predicted."""
    with Path(path).open('w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['true \\ predicted', *class_names])
        writer.writerows([name, *row] for name, row in zip(class_names, matrix.tolist()))


def draw_confusions(
    path: str | Path, matrix: np.ndarray, class_names: Sequence[str], *, title: str
) -> None:
    """Write a picture of counts (K, K), in per cent of the true class.

    Many classes have neither numbers nor names; see :func:`write_confusions` for these.

    Args:
        path: The picture's path.
        matrix: Counts, as :func:`~mmstan.visualization.count_confusions` gives them.
        class_names: Names of the K classes.
        title: Title of the picture; top-1 stands behind it.
    """
    classes = len(matrix)
    if classes <= _MOST_NUMBERED:
        size = max(4.0, 0.35 * classes + 2)  # inches
        figure = Figure(figsize=(size, size), layout='constrained')
        draw_confusion(figure.add_subplot(), matrix, class_names, title=title)
    else:
        figure = Figure(figsize=(9, 8), layout='constrained')
        axes = figure.add_subplot()
        share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(share, cmap='Blues', vmin=0, vmax=100, interpolation='nearest')
        figure.colorbar(image, label='per cent of the true class')
        axes.set_xlabel('predicted class')
        axes.set_ylabel('true class')
        accuracy = 100 * np.trace(matrix) / max(matrix.sum(), 1)
        axes.set_title(f'{title}: {accuracy:.1f} % top-1')
    figure.savefig(path, dpi=110)
