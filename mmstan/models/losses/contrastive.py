"""Contrastive learning over all processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmengine.dist import get_rank, get_world_size
from torch import Tensor

Features = TypeVar('Features', bound=tuple[Any, ...])


def contrastive_loss(
    score: Callable[[Any, Any], Tensor],
    text: tuple[Any, ...],
    video: tuple[Any, ...],
    *,
    reduction: Literal['sum', 'mean'] = 'sum',
) -> tuple[Tensor, Tensor]:
    """Cross entropy of texts over all videos, and of videos over all texts (InfoNCE).

    Text i belongs to video i. With W processes the candidates come from all processes. A process
    scores only the rows and columns of its own pairs, 2 / W of the matrix. DDP averages gradients
    over the processes; the average is the gradient of one process with the joined batch.

    Args:
        score: Texts and videos -> logits (A, B).
        text: A named tuple of tensors with n rows each; n is the same in every process.
        video: The same for the videos; None stays None.
        reduction: ``'sum'`` adds the two directions (STAN), ``'mean'`` halves each first (CLIP,
            CLIP4Clip).

    Returns:
        Text-to-video and video-to-text loss, each the mean over this process's n pairs.
    """
    # Row i of this process belongs to column first + i of the joined batch.
    first = get_rank() * text[0].shape[0]
    targets = torch.arange(first, first + text[0].shape[0], device=text[0].device)
    if get_world_size() == 1:
        rows = score(text, video)
        columns = rows.T
    else:
        rows = score(text, gather(video))
        columns = score(gather(text), video).T
    weight = 1.0 if reduction == 'sum' else 0.5
    return weight * F.cross_entropy(rows, targets), weight * F.cross_entropy(columns, targets)


def gather(features: Features) -> Features:
    """The rows of all processes, in the order of their ranks, with gradients to each."""
    gathered: list[Any] = [None if x is None else _Gather.apply(x) for x in features]
    return type(features)(*gathered)


class _Gather(torch.autograd.Function):
    """All-gather; its backward pass sums the gradients that all processes have for a row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()  # `empty_like` keeps the strides of a transposed tensor
        parts = [torch.empty_like(x) for _ in range(get_world_size())]
        dist.all_gather(parts, x)
        if not x.is_floating_point():
            ctx.mark_non_differentiable(gathered := torch.cat(parts))
            return gathered
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # Every process has a gradient for every row: sum them, and keep this process's rows.
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient.chunk(get_world_size())[get_rank()]
