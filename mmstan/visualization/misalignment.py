"""Measure which share of its video a caption describes (Mug-STAN Fig. 1b and Table IX)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mmstan.models.features import VideoFeatures, l2_normalise
from mmstan.wording import markdown_table

LEVELS = ('up', 'middle', 'bottom')
_AT_ONCE = 1024  # captions
_COLORS = ('#1a7f37', '#d4a72c', '#cf222e')


class OwnFrames(NamedTuple):
    """Cosines of A captions with the T frames of their own videos."""

    similarities: Tensor
    """Cosine of each caption with each frame of its video, (A, T)."""
    mask: Tensor
    """Which frames are real, boolean (A, T)."""
    mismatched: float
    """The mean cosine of captions with the frames of other videos."""


@dataclass(frozen=True)
class Alignment:
    """Levels of captions, by the share of their videos' frames that they describe.

    Attributes:
        offset: A frame with a larger cosine counts as aligned.
        frames: Share of the frames that are aligned.
        levels: Place in :data:`LEVELS` of each caption, int64 (A,).
    """

    offset: float
    frames: float
    levels: Tensor

    @property
    def shares(self) -> list[float]:
        """Share of the captions on each level."""
        return [(self.levels == level).double().mean().item() for level in range(len(LEVELS))]


def compare_own_frames(sentences: Tensor, video: VideoFeatures, owners: Tensor) -> OwnFrames:
    """Compare captions with their own frames; needs memory for A * T cosines, not for A * B * T.

    Args:
        sentences: (A, D), not normalised.
        video: B videos.
        owners: The video of each caption, int64 (A,).

    Raises:
        ValueError: There is only one video, so no pair is mismatched.
    """
    sentences, frames = l2_normalise(sentences), l2_normalise(video.frames)
    # (a, D) and (a, T, D) at a time: the frames of a video are copied for each of its captions.
    chunks = zip(sentences.split(_AT_ONCE), owners.split(_AT_ONCE))
    similarities = torch.cat([torch.einsum('ad,atd->at', s, frames[o]) for s, o in chunks])
    mask = video.mask[owners]
    # Mean over mismatched pairs = (sum over all pairs - sum over own pairs) / number of pairs.
    # The sum over all pairs is the dot product of two sums: over captions, and over real frames.
    all_frames = (frames * video.mask[..., None]).sum((0, 1), dtype=torch.float64)
    of_all = sentences.sum(0, dtype=torch.float64) @ all_frames
    of_own = (similarities * mask).sum(dtype=torch.float64)
    pairs = len(sentences) * int(video.mask.sum()) - int(mask.sum())
    if pairs == 0:
        raise ValueError(f'{len(video.mask)} video: mismatched pairs need at least two videos')
    return OwnFrames(similarities, mask, ((of_all - of_own) / pairs).item())


def measure_alignment(own: OwnFrames, *, offset: float) -> Alignment:
    """Put captions on levels by the share of their videos' frames that are aligned.

    More than 2/3: ``up``; less than 1/3: ``bottom``; else ``middle``. A frame is aligned if
    sigmoid(cosine - offset) > 0.5. Taken literally the paper has no offset, and then nearly every
    pair passes with CLIP's features; ``own.mismatched``, the mean cosine of unrelated pairs, is a
    stricter offset.
    """
    aligned = ((own.similarities - offset).sigmoid() > 0.5) & own.mask
    count, total = aligned.sum(1), own.mask.sum(1)
    # Whole numbers, so that exactly 1/3 and 2/3 are middle.
    up, bottom = 3 * count > 2 * total, 3 * count < total
    levels = torch.ones_like(count).masked_fill(up, 0).masked_fill(bottom, 2)
    return Alignment(offset, (count.sum() / total.sum()).item(), levels)


def compute_recall_by_level(levels: Tensor, ranks: Tensor) -> dict[str, float]:
    """Level -> R@1 of its captions in per cent, NaN without captions (Mug-STAN Table IX).

    Args:
        levels: Levels of the captions as in :class:`Alignment`, (A,).
        ranks: Text-to-video ranks, 1 is the best, (A,).
    """
    first = (ranks <= 1).double()
    return {name: 100 * first[levels == level].mean().item() for level, name in enumerate(LEVELS)}


def format_misalignment(alignments: Mapping[str, Alignment], ranks: Tensor) -> str:
    """Markdown: a row per offset with the aligned frames, and the captions and R@1 by level."""
    names = [f'{level}, R@1' for level in LEVELS]
    rows = []
    for name, aligned in alignments.items():
        recalls = compute_recall_by_level(aligned.levels, ranks).values()
        cells = [
            f'{100 * share:.1f} %, ' + ('-' if recall != recall else f'{recall:.1f}')
            for share, recall in zip(aligned.shares, recalls)
        ]
        rows += [[f'{aligned.offset:.3f} ({name})', f'{100 * aligned.frames:.1f} %', *cells]]
    return markdown_table(['aligned if the cosine exceeds', 'frames', *names], rows)


def draw_misalignment(
    path: str | Path, own: OwnFrames, alignments: Mapping[str, Alignment], ranks: Tensor
) -> None:
    """Write a picture: the cosines with the offsets, and the levels with their R@1.

    Args:
        path: The picture's path, ``.png``.
        own: The captions and frames that were compared.
        alignments: Name of an offset -> :func:`measure_alignment`.
        ranks: Text-to-video ranks, 1 is the best, (A,).
    """
    figure = Figure(figsize=(5 + 3 * len(alignments), 3.5), layout='constrained')
    columns = figure.subplots(
        1, 1 + len(alignments), width_ratios=[5] + [3] * len(alignments), squeeze=False
    )[0]
    columns[0].hist(own.similarities[own.mask].cpu().numpy(), bins=50, color='#8c959f')
    columns[0].set_title('captions and frames of their videos', fontsize=9)
    columns[0].set_xlabel('cosine', fontsize=8)
    columns[0].set_ylabel('frames', fontsize=8)
    for axes, (name, aligned) in zip(columns[1:], alignments.items()):
        columns[0].axvline(aligned.offset, color='black', linewidth=1)
        draw_levels(axes, aligned, ranks, title=f'cosine > {aligned.offset:.3f}\n{name}')
    figure.savefig(path, dpi=110)


def draw_levels(axes: Axes, aligned: Alignment, ranks: Tensor, *, title: str) -> None:
    """Draw a bar for each level: its share of the captions, labelled with its R@1."""
    recalls = compute_recall_by_level(aligned.levels, ranks).values()
    shares = [100 * share for share in aligned.shares]
    axes.bar(LEVELS, shares, color=_COLORS)
    for x, (share, recall) in enumerate(zip(shares, recalls)):
        label = f'{share:.0f} %' + ('' if recall != recall else f'\nR@1 {recall:.1f}')
        axes.text(x, share + 1, label, ha='center', va='bottom', fontsize=8)
    axes.set_ylim(0, 130)
    axes.set_ylabel('captions, %', fontsize=8)
    axes.set_title(title, fontsize=9)
