"""Scores normalised by other queries: dual softmax and QB-Norm.

Both are transductive. They change the scores (A texts, B videos) as blocks go by; the input is
left as it is. Which queries a score is normalised by depends on the direction, so there is a matrix
for each: only the ranks of its own direction mean anything, in the result and not in its transpose.
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
    """Blocks, each changed by ``change(rows, scores (rows, B)) -> (rows, B)``."""

    def __init__(self, blocks: Blocks, change: Callable[[slice, Tensor], Tensor]) -> None:
        self.blocks, self.change = blocks, change
        self.shape = blocks.shape

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """``rows`` and their changed scores."""
        for rows, block in self.blocks:
            yield rows, self.change(rows, block)


def dual_softmax(blocks: Blocks, direction: Direction, *, logit_scale: float) -> Blocks:
    """L * softmax(L), L = logit_scale * scores, the softmax being over the queries (CAMoE, DSL).

    t2v: over the texts, a video at a time; that takes a pass over ``blocks`` beforehand. v2t: over
    the videos, a text at a time. In float64, where no logit of less than 350 gives an exact zero;
    in float32 those of scale 100 do, and tie.

    Args:
        blocks: Similarities (A, B) without a scale.
        direction: What the result will be ranked for.
        logit_scale: 1 / temperature of the softmax.
    """
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

    A query whose best candidate is among the ``k`` best of some bank query gets
    beta * s - log(sum over the bank of exp(beta * b)), the logarithm of the inverted softmax; the
    scores of other queries stay as they are. Of the bank, only the sum and the activated candidates
    are kept. In float64, as beta takes logits of scale 100 beyond what float32 tells apart.

    Args:
        blocks: Similarities (A, B) without a scale.
        bank: t2v: bank texts x these videos (M, B); v2t: these texts x bank videos (A, M).
        direction: What the result will be ranked for.
        beta: Inverse temperature, for similarities without a scale.
        k: Candidates that a bank query activates.
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
        chosen_videos = _best_rows(bank, k)[_top_rows(blocks, 1)[0]]  # (B)

        def change(rows: slice, block: Tensor) -> Tensor:
            block = block.double()
            return torch.where(chosen_videos, beta * block - total[rows], block)

    return ChangedBlocks(blocks, change)


def log_sum_exp(blocks: Blocks, dim: Literal[0, 1], *, scale: float) -> Tensor:
    """log(sum(exp(scale * scores))) over the rows (0) -> (B,), or the columns (1) -> (A,).

    In float64; NaN scores are left out. One pass.
    """
    sums = (replace_nan(scale * block.double()).logsumexp(dim) for _, block in blocks)
    return reduce(torch.logaddexp, sums) if dim == 0 else torch.cat(list(sums))


def _best_columns(blocks: Blocks, k: int) -> Tensor:
    """Which columns are among the ``k`` best of some row, boolean (B,)."""
    found = []
    for _, block in blocks:
        best = replace_nan(block).topk(min(k, blocks.shape[1]), dim=1).indices
        found.append(best.unique())
    return _flags(torch.cat(found), blocks.shape[1])


def _best_rows(blocks: Blocks, k: int) -> Tensor:
    """Which rows are among the ``k`` best of some column, boolean (A,)."""
    return _flags(_top_rows(blocks, k), blocks.shape[0])


def _top_rows(blocks: Blocks, k: int) -> Tensor:
    """The numbers of the ``k`` best rows of every column, (k, B). One pass."""
    scores = numbers = None
    for rows, block in blocks:
        block = replace_nan(block)
        number = torch.arange(rows.start, rows.stop, device=block.device)[:, None].expand_as(block)
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
