from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from mmstan.visualization import compute_cka, compute_cka_matrix, draw_cka, pair_layers
from mmstan.visualization.cka import draw_layer_by_layer, draw_similarities


def hsic(k: Tensor, m: Tensor) -> float:
    """The unbiased estimate of arXiv 2010.15327, Eq. 3, term by term."""
    n = len(k)
    k, m = k.clone().fill_diagonal_(0), m.clone().fill_diagonal_(0)
    one = torch.ones(n, dtype=k.dtype)
    first = torch.trace(k @ m)
    second = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    third = 2 / (n - 2) * (one @ k @ m @ one)
    return float((first + second - third) / (n * (n - 3)))


@pytest.mark.parametrize(('rows', 'channels'), [(20, (3, 5)), (8, (30, 2)), (5, (1, 1))])
def test_cka_is_the_published_estimate(rows: int, channels: tuple[int, int]) -> None:
    x, y = (torch.randn(rows, c, dtype=torch.double) + 3 for c in channels)
    k, m = x @ x.T, y @ y.T
    expected = hsic(k, m) / (hsic(k, k) * hsic(m, m)) ** 0.5
    assert compute_cka(x, y) == pytest.approx(expected, abs=1e-9)


def test_what_does_not_matter() -> None:
    x = torch.randn(50, 6)
    rotation = torch.linalg.qr(torch.randn(6, 6)).Q
    assert compute_cka(x, x @ rotation * -3 + torch.randn(6)) == pytest.approx(1, abs=1e-5)
    assert compute_cka(x, torch.cat([x, x], dim=1)) == pytest.approx(1, abs=1e-5)
    assert compute_cka(x, x * torch.tensor([9.0, 1, 1, 1, 1, 1])) < 0.9


@pytest.mark.parametrize('channels', [4, 500])
def test_features_that_have_nothing_in_common(channels: int) -> None:
    x, y = torch.randn(100, channels), torch.randn(100, channels)
    assert abs(compute_cka(x, y)) < 0.1
    mixed = torch.cat([x, y], dim=1)
    assert 0.6 < compute_cka(x, mixed) < 0.8  # half of it: 1 / sqrt(2)


def test_all_pairs() -> None:
    features = [torch.randn(10, c) for c in (3, 5, 7)]
    matrix = compute_cka_matrix(features)
    assert matrix.shape == (3, 3)
    expected = [[compute_cka(x, y) for y in features] for x in features]
    torch.testing.assert_close(matrix, torch.tensor(expected, dtype=torch.double))


@pytest.mark.parametrize('sizes', [(3, 3), (8, 9)])
def test_things_that_cannot_be_compared(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match='the same things, at least 4 of them'):
        compute_cka_matrix([torch.randn(n, 5) for n in sizes])


MATRIX = np.arange(25).reshape(5, 5) / 25
SIZES = dict(tower=2, branch=2, output=1)


def test_layer_by_layer() -> None:
    lines = pair_layers(MATRIX, SIZES)
    assert list(lines) == ['tower - branch']  # the output has another depth
    np.testing.assert_array_equal(lines['tower - branch'], MATRIX[[0, 1], [2, 3]])


def test_drawings() -> None:
    left, right = Figure().subplots(1, 2)
    image = draw_similarities(left, MATRIX, SIZES)
    np.testing.assert_array_equal(image.get_array(), MATRIX)
    assert sorted({line.get_ydata()[0] for line in left.lines[::2]}) == [1.5, 3.5]
    assert [tick.get_text() for tick in left.get_xticklabels()] == list(SIZES)
    np.testing.assert_allclose(left.get_xticks(), [0.5, 2.5, 4])  # the middles of the groups
    draw_layer_by_layer(right, MATRIX, SIZES)
    (line,) = right.lines
    np.testing.assert_allclose(line.get_xydata(), [[1, MATRIX[0, 2]], [2, MATRIX[1, 3]]])


@pytest.mark.parametrize('groups', [('tower',), ('tower', 'branch')])
def test_report(groups: tuple[str, ...], tmp_path: Path) -> None:
    features = {name: [torch.randn(10, 3), torch.randn(10, 4)] for name in groups}
    matrix = draw_cka(tmp_path / 'cka.png', features)
    assert matrix.shape == (2 * len(groups),) * 2
    assert (tmp_path / 'cka.png').stat().st_size > 5000
