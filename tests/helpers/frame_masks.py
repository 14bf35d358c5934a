"""Batches of videos with fewer frames than others."""

from collections.abc import Sequence

import torch
from mmaction.structures import ActionDataSample
from torch import Tensor

LENGTHS = (3, 6, 1)  # of T = 6 frames


def samples(masks: Sequence[Tensor | None]) -> list[ActionDataSample]:
    out = [ActionDataSample() for _ in masks]
    for sample, mask in zip(out, masks):
        if mask is not None:
            sample.frame_mask = mask
    return out


def prefixes(lengths: Sequence[int] = LENGTHS, frames: int = 6) -> list[Tensor]:
    return [torch.arange(frames) < length for length in lengths]
