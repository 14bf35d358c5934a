"""Compare the features of layers by centred kernel alignment, CKA (DiST Fig. 5a)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from torch import Tensor


def compute_cka(x: Tensor, y: Tensor) -> float:
    """Linear CKA of two features of the same n samples, (n, C) and (n, C').

    It is 1 if the features are equal up to a rotation and a factor. The estimate is unbiased
    (arXiv 2010.15327, Eq. 3): unrelated features get about 0, even with more channels than samples.

    Raises:
        ValueError: Fewer than four samples, or different numbers of samples.

    >>> x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    >>> round(compute_cka(x, -2 * x.flip(1)), 4)
    1.0
    """
    return compute_cka_matrix([x, y])[0, 1].item()


def compute_cka_matrix(features: Sequence[Tensor]) -> Tensor:
    """:func:`compute_cka` of all pairs of F features (n, C_f), float64 (F, F).

    Needs memory for F n^2 numbers.
    """
    sizes = {len(x) for x in features}
    if len(sizes) != 1 or min(sizes) < 4:
        raise ValueError(
            f'features have {sorted(sizes)} rows: CKA compares the same things, at least 4 of them'
        )
    grams = torch.stack([_centred_gram(x.double()).flatten() for x in features])  # (F, n^2)
    # CKA = <K, L> / (|K| |L|), with K and L the centred Gram matrices, so the cosine of two rows.
    grams = F.normalize(grams)
    return grams @ grams.T


def _centred_gram(x: Tensor) -> Tensor:
    """Dot products (n, n), U-centred: inner products of two such matrices are unbiased HSICs."""
    n = len(x)
    # U-centring removes the mean anyway; without it the products are smaller and round less.
    gram = (x - x.mean(dim=0)) @ (x - x.mean(dim=0)).T
    # The diagonal causes the bias, so it is left out of the sums and of the result.
    gram.fill_diagonal_(0)
    rows = gram.sum(dim=0)
    # Every off-diagonal row sums to zero after this: minus the row's and the column's mean, plus
    # the mean of all, with the denominators of a matrix without its diagonal.
    gram -= (rows[:, None] + rows[None]) / (n - 2) - rows.sum() / ((n - 1) * (n - 2))
    return gram.fill_diagonal_(0)


def draw_cka(path: str | Path, features: Mapping[str, Sequence[Tensor]]) -> np.ndarray:
    """Write a picture: CKA of all layers, and of groups layer by layer.

    Args:
        path: The picture's path, ``.png``.
        features: Name of a group -> features (n, C) of each of its layers; groups with equally
            many layers are also compared layer by layer.

    Returns:
        The CKA of all pairs of layers, group by group, (F, F).
    """
    matrix = compute_cka_matrix([x for layers in features.values() for x in layers]).cpu().numpy()
    sizes = {name: len(layers) for name, layers in features.items()}
    figure = Figure(figsize=(11, 5), layout='constrained')
    left, right = figure.subplots(1, 2)
    image = draw_similarities(left, matrix, sizes)
    figure.colorbar(image, ax=left, label='linear CKA')
    draw_layer_by_layer(right, matrix, sizes)
    figure.savefig(path, dpi=110)
    return matrix


def draw_similarities(axes: Axes, matrix: np.ndarray, sizes: Mapping[str, int]) -> AxesImage:
    """Draw the matrix (F, F) with lines between the groups; returns the image."""
    image = axes.imshow(matrix, cmap='magma', vmin=0, vmax=1)
    # Pixel i covers i - 0.5 to i + 0.5, so a group of 3 layers ends at 2.5.
    ends = np.cumsum(list(sizes.values()))
    for end in ends[:-1] - 0.5:
        axes.axhline(end, color='white', linewidth=1)
        axes.axvline(end, color='white', linewidth=1)
    middles = ends - (np.array(list(sizes.values())) + 1) / 2
    axes.set_xticks(middles, sizes)
    axes.set_yticks(middles, sizes, rotation=90, va='center')
    axes.tick_params(length=0)
    axes.set_title('all layers, each group from its first to its last', fontsize=9)
    return image


def draw_layer_by_layer(axes: Axes, matrix: np.ndarray, sizes: Mapping[str, int]) -> None:
    """Draw the lines of :func:`pair_layers`."""
    for name, line in pair_layers(matrix, sizes).items():
        axes.plot(np.arange(len(line)) + 1, line, marker='o', label=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel('layer')
    axes.set_ylabel('linear CKA')
    axes.set_ylim(0, 1)
    if axes.lines:
        axes.legend(fontsize=8)


def pair_layers(matrix: np.ndarray, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """CKA of layer i of one group with layer i of another, for groups of equally many layers.

    Args:
        matrix: CKA of all layers, group by group, (F, F).
        sizes: Name of a group -> number of its layers.

    Returns:
        ``'a - b'`` -> CKA by layer, (layers,).

    >>> pair_layers(np.arange(16).reshape(4, 4), {'a': 2, 'b': 2})
    {'a - b': array([2, 7])}
    """
    # A group's first row and column in the matrix.
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()])))
    lines = {}
    for a, b in combinations(sizes, 2):
        if sizes[a] == sizes[b]:
            layers = np.arange(sizes[a])
            lines[f'{a} - {b}'] = matrix[starts[a] + layers, starts[b] + layers]
    return lines
