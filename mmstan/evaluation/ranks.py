"""Compute ranks by counting, and summarise them.

A rank is 1 + the number of candidates with a higher score than the true candidate + a share of the
number of tied candidates. No score is looked up by its value. NaN comes last: a NaN candidate
counts as lower than any score, and a NaN true candidate gets the number of candidates as its rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmstan.evaluation.scores import Blocks, replace_nan

Ties = Literal['average', 'optimistic', 'pessimistic']
"""Place of the true candidate among the candidates with the same score: the expected place if ties
are broken at random, the first, or the last."""

TIES: dict[Ties, float] = dict(average=0.5, optimistic=0.0, pessimistic=1.0)


class VideoRanks(NamedTuple):
    """Video-to-text ranks of the videos that have captions, float64, in the order of the videos."""

    group: Tensor
    """Rank among all videos' caption groups; a group's score is its best caption's (CLIP4Clip)."""
    caption: Tensor
    """Rank of the video's best caption among all captions except the video's other captions
    (collaborative-experts)."""


def text_to_video_ranks(blocks: Blocks, owners: Tensor, *, ties: Ties = 'average') -> Tensor:
    """Rank of every text's video among all videos, float64 (A,). Takes one pass.

    Args:
        blocks: Scores (A, B).
        owners: The video of each text, int64 (A,).
        ties: See :data:`Ties`.
    """
    ranks = torch.empty(len(owners), dtype=torch.float64)
    for rows, block in blocks:
        true = block.gather(1, owners[rows, None].to(block.device))
        better, tied = (block > true).sum(1), (block == true).sum(1) - 1  # not with itself
        ranks[rows] = _ranks(true[:, 0], better, tied, blocks.shape[1], ties)
    return ranks


def video_to_text_ranks(blocks: Blocks, owners: Tensor, *, ties: Ties = 'average') -> VideoRanks:
    """Ranks of every video's captions, by both protocols for several captions. Takes two passes.

    With one caption per video the two protocols are equal.

    Args:
        blocks: Scores (A, B), the captions of a video in neighbouring rows.
        owners: The video of each text, int64 (A,), ascending.
        ties: See :data:`Ties`.

    Raises:
        ValueError: ``owners`` is not sorted.
    """
    if (owners.diff() < 0).any():
        raise ValueError(
            'owners is not ascending, but the captions of a video must be neighbours; sort texts '
            'and owners by order = owners.argsort(stable=True)'
        )
    texts, videos = blocks.shape
    captions = owners.bincount(minlength=videos)
    # First pass: the true score of each video. Second pass: count the candidates above it.
    best = _best_own(blocks, owners)
    by_caption, by_group = _Count(best), _Count(best)
    groups = _Groups() if captions.max() > 1 else None
    for rows, block in blocks:
        # A video's own captions are no candidates against it: NaN, which never counts.
        others = block.scatter(1, owners[rows, None].to(block.device), torch.nan)
        by_caption.add(others)
        if groups is not None:
            by_group.add(groups.ended_by(others, owners[rows]))
    if groups is None:
        by_group = by_caption
    else:
        by_group.add(groups.last())
    # Candidates: the groups of all videos with captions; or all captions except the other own ones.
    has = captions > 0
    return VideoRanks(
        by_group.ranks(int(has.sum()), ties)[has],
        by_caption.ranks(texts + 1 - captions, ties)[has],
    )


def summarise(ranks: Tensor, topk: Sequence[int] = (1, 5, 10, 50)) -> dict[str, float]:
    """Recall at k in percent (``R1`` ...), median (``MdR``) and mean rank (``MnR``).

    Parts of a test set are merged by concatenating their ranks. The median of an even number of
    ranks is the mean of the middle two, as numpy's.
    """
    recalls = {f'R{k}': 100 * (ranks <= k).double().mean().item() for k in topk}
    return recalls | dict(MdR=float(np.median(ranks.numpy())), MnR=ranks.double().mean().item())


def _ranks(
    true: Tensor, better: Tensor, tied: Tensor, candidates: int | Tensor, ties: Ties
) -> Tensor:
    ranks = 1 + better.double() + TIES[ties] * tied
    last = torch.as_tensor(candidates, dtype=ranks.dtype, device=ranks.device)
    return torch.where(true.isnan(), last, ranks).cpu()


def _best_own(blocks: Blocks, owners: Tensor) -> Tensor:
    """Score of every video's best own caption, (B,); NaN if there is none, or all are NaN."""
    best = None
    for rows, block in blocks:
        own = owners[rows].to(block.device)
        if best is None:
            best = block.new_full((blocks.shape[1],), -torch.inf)
        # Row i of the block has its own video in column own[i].
        best.scatter_reduce_(0, own, replace_nan(block.gather(1, own[:, None])[:, 0]), 'amax')
    assert best is not None
    return best.masked_fill(best.isneginf(), torch.nan)


class _Count:
    """Counts, for each of B videos, the candidates with a higher or the same score as the true."""

    def __init__(self, true: Tensor) -> None:
        self.true = true
        self.better = torch.zeros_like(true, dtype=torch.int64)
        self.tied = torch.zeros_like(self.better)

    def add(self, candidates: Tensor) -> None:
        """Count candidates (n, B); NaN stands for no candidate."""
        # int32 sums of a block are twice as fast as int64's
        self.better += (candidates > self.true).sum(0, dtype=torch.int32)
        self.tied += (candidates == self.true).sum(0, dtype=torch.int32)

    def ranks(self, candidates: int | Tensor, ties: Ties) -> Tensor:
        return _ranks(self.true, self.better, self.tied, candidates, ties)


class _Groups:
    """Reduces captions in neighbouring rows to the best score of each video's group.

    A group may continue in the next block, so the maximum of the last group is kept (``open``),
    with the video that it belongs to (``owner``).
    """

    def __init__(self) -> None:
        self.owner = -1
        self.open: Tensor | None = None

    def ended_by(self, scores: Tensor, owners: Tensor) -> Tensor:
        """Add rows (n, B) of ``owners`` (n,); returns the groups that are complete, (groups, B).

        The group of the last row is kept open. Owners 0 0 | 0 1 1 2 | 2 in three blocks return
        no group, then 0 and 1; 2 comes from :meth:`last`.
        """
        # The best score of each group within this block, (G, B).
        groups, index = owners.unique_consecutive(return_inverse=True)
        index = index.to(scores.device)[:, None].expand_as(scores)
        best = scores.new_full((len(groups), scores.shape[1]), -torch.inf)
        best.scatter_reduce_(0, index, replace_nan(scores), 'amax')
        # The open group either continues as the first group here, or was complete.
        if self.open is not None:
            if self.owner == groups[0]:
                best[0] = torch.maximum(best[0], self.open)
            else:
                best = torch.cat([self.open[None], best])
        self.owner, self.open = int(groups[-1]), best[-1]
        return best[:-1]

    def last(self) -> Tensor:
        """The group that is still open after the last block, (1, B)."""
        assert self.open is not None
        return self.open[None]
