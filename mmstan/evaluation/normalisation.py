"""Normalise scores by other queries: dual softmax and QB-Norm.

Both are transductive. They change the scores (A texts, B videos) block by block, on copies. The
queries are texts in t2v and videos in v2t, so each direction has its own normalised matrix, and
only the ranks of that direction are meaningful.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Literal

import torch
from torch import Tensor

from mmstan.evaluation.scores import Blocks, replace_nan

Direction = Literal['t2v', 'v2t']


class ChangedBlocks:
    """Blocks of scores after ``change(rows, scores (rows, B)) -> (rows, B)``."""

    def __init__(self, blocks: Blocks, change: Callable[[slice, Tensor], Tensor]) -> None:
        self.blocks, self.change = blocks, change
        self.shape = blocks.shape

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """``rows`` and their changed scores."""
        for rows, block in self.blocks:
            yield rows, self.change(rows, block)


def dual_softmax(blocks: Blocks, direction: Direction, *, logit_scale: float) -> Blocks:
    """L * softmax(L) with L = logit_scale * scores and the softmax over queries (CAMoE, DSL).

    t2v: for each video over the texts, which takes one more pass over ``blocks``. v2t: for each
    text over the videos. Computed in float64: there, logits below 350 give no exact zeros, while
    in float32 logits of scale 100 do, and zeros tie.

    Args:
        blocks: Similarities (A, B) without a scale.
        direction: Direction that the result will be ranked in.
        logit_scale: 1 / temperature of the softmax.

    Returns:
        Blocks of the normalised scores (A, B), float64.
    """
    # softmax(L) = exp(L - log sum exp L)
    totals = log_sum_exp(blocks, 0, scale=logit_scale) if direction == 't2v' else None  # (B)

    def change(rows: slice, block: Tensor) -> Tensor:
        logits = logit_scale * block.double()
        if totals is not None:
            return logits * (logits - totals).exp()
        return logits * (logits - replace_nan(logits).logsumexp(1, keepdim=True)).exp()

    return ChangedBlocks(blocks, change)


def qb_norm(
    blocks: Blocks, bank: Blocks, direction: Direction, *, beta: float = 20.0, k: int = 1
) -> Blocks:
    """Querybank normalisation with the dynamic inverted softmax (QB-Norm, DIS).

    If a query's best candidate is among the ``k`` best of any bank query, its scores s become
    beta * s - log(sum over the bank of exp(beta * b)), the logarithm of the inverted softmax. The
    scores of other queries stay. Only the sum and the activated candidates of the bank are kept in
    memory. Computed in float64: in float32, beta times logits of scale 100 would tie.

    Args:
        blocks: Similarities (A, B) without a scale.
        bank: t2v: bank texts x these videos (M, B); v2t: these texts x bank videos (A, M).
        direction: Direction that the result will be ranked in.
        beta: Inverse temperature, for similarities without a scale.
        k: Number of candidates that a bank query activates.

    Returns:
        Blocks of the normalised scores (A, B), float64.
    """
    if direction == 't2v':
        total = log_sum_exp(bank, 0, scale=beta)  # (B)
        activated = _best_columns(bank, k)

        def change(rows: slice, block: Tensor) -> Tensor:
            block = block.double()
            chosen = activated[replace_nan(block).argmax(1)]  # (rows)
            return torch.where(chosen[:, None], beta * block - total, block)
    else:
        total = log_sum_exp(bank, 1, scale=beta)[:, None]  # (A, 1)
        # Each video is a query: is its best text one that the bank videos activate?
        chosen_videos = _best_rows(bank, k)[_top_rows(blocks, 1)[0]]  # (B)

        def change(rows: slice, block: Tensor) -> Tensor:
            block = block.double()
            return torch.where(chosen_videos, beta * block - total[rows], block)

    return ChangedBlocks(blocks, change)


def log_sum_exp(blocks: Blocks, dim: Literal[0, 1], *, scale: float) -> Tensor:
    """log(sum(exp(scale * scores))) over the rows (0) -> (B,), or the columns (1) -> (A,).

    In float64, with NaN scores left out. Takes one pass.
    """
    sums = (replace_nan(scale * block.double()).logsumexp(dim) for _, block in blocks)
    return reduce(torch.logaddexp, sums) if dim == 0 else torch.cat(list(sums))


def _best_columns(blocks: Blocks, k: int) -> Tensor:
    """True for each column that is among the ``k`` best of any row, boolean (B,)."""
    found = []
    for _, block in blocks:
        best = replace_nan(block).topk(min(k, blocks.shape[1]), dim=1).indices
        found.append(best.unique())
    return _flags(torch.cat(found), blocks.shape[1])


def _best_rows(blocks: Blocks, k: int) -> Tensor:
    """True for each row that is among the ``k`` best of any column, boolean (A,)."""
    return _flags(_top_rows(blocks, k), blocks.shape[0])


def _top_rows(blocks: Blocks, k: int) -> Tensor:
    """Numbers of the ``k`` best rows of every column, int64 (k, B). Takes one pass."""
    scores = numbers = None
    for rows, block in blocks:
        block = replace_nan(block)
        number = torch.arange(rows.start, rows.stop, device=block.device)[:, None].expand_as(block)
        # The best rows so far compete with the rows of this block.
        if scores is not None and numbers is not None:
            block, number = torch.cat([scores, block]), torch.cat([numbers, number])
        scores, index = block.topk(min(k, len(block)), dim=0)
        numbers = number.gather(0, index)
    assert numbers is not None
    return numbers


def _flags(numbers: Tensor, total: int) -> Tensor:
    flags = torch.zeros(total, dtype=torch.bool, device=numbers.device)
    flags[numbers.flatten()] = True
    return flags
