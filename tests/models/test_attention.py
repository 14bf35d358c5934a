"""Attention of more sequences than a GPU's kernels take at once."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmstan.models.layers import attention
from mmstan.models.layers.attention import attend_in_parts, find_most_sequences


@pytest.mark.parametrize(
    ('sizes', 'most'),
    [
        ((12, 8, 64), 21845),
        ((12, 128, 64), 21845),  # rows are rounded up to 128
        ((12, 129, 64), 10922),
        ((16, 8, 64), 16383),  # 16384 of them are one element too many
        ((8, 8, 16), 65535),  # the forward pass
        ((12, 10**6, 64), 2),
        ((1, 2**31, 64), 1),
    ],
)
def test_the_most_sequences(sizes: tuple[int, int, int], most: int) -> None:
    assert find_most_sequences(*sizes) == most


def draw(rows: int) -> Tensor:
    return torch.randn(7, 2, rows, 4, requires_grad=True)


@pytest.mark.parametrize('most', [1, 3, 7])
def test_parts_are_the_whole(most: int) -> None:
    q, k, v = draw(1), draw(5), draw(5)
    whole, parts = F.scaled_dot_product_attention(q, k, v), attend_in_parts(q, k, v, most)
    torch.testing.assert_close(parts, whole)
    weights = torch.randn_like(whole)
    for ours, right in zip(
        torch.autograd.grad((parts * weights).sum(), (q, k, v)),
        torch.autograd.grad((whole * weights).sum(), (q, k, v)),
    ):
        torch.testing.assert_close(ours, right)


def test_parts_are_taken_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        sizes.append(len(q))
        return v

    monkeypatch.setattr(attention, 'find_most_sequences', lambda *_: 3)
    monkeypatch.setattr(F, 'scaled_dot_product_attention', attend)
    for on_gpu in (False, True):
        monkeypatch.setattr(Tensor, 'is_cuda', on_gpu)
        assert attention.attention(draw(5), draw(5), draw(5)).shape == (7, 5, 8)
    assert sizes == [7, 3, 3, 1]
