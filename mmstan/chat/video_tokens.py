"""The tokens of a video for a dialogue model: fused tower and branch, pooled over the frames.

Letters: N clips, T frames, L patches, C width of the tower, S tokens of a video.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from mmstan.wording import check_choice

Pool = Literal['mean', 'frames']
ClassPlace = Literal['first', 'last', 'none']
Scale = Literal['tower']


def feature_block(layer: int, depth: int) -> int:
    """Number (from 1) of the tower block whose output ``hidden_states[layer]`` is.

    Args:
        layer: A dialogue model's feature layer; counted from the end if negative.
        depth: Number of the tower's blocks.

    Raises:
        ValueError: The layer is a list, the embedding before the first block, or not in the tower.

    >>> feature_block(-2, 24), feature_block(23, 24), feature_block(-1, 24)
    (23, 23, 24)
    """
    if isinstance(layer, bool) or not isinstance(layer, int):
        raise ValueError(
            f'vision_feature_layer={layer!r}: one layer of the tower is taken, e.g. -2; engines '
            'that read several layers are refused'
        )
    # hidden_states has the embedding first: depth + 1 entries.
    block = layer + depth + 1 if layer < 0 else layer
    if not 1 <= block <= depth:
        raise ValueError(
            f'vision_feature_layer={layer}: the output of a tower block is taken, 1 to {depth} or '
            f'-{depth} to -1 (0 and -{depth + 1} are the embedding before the first block)'
        )
    return block


def fuse(tower: Tensor, branch: Tensor, weight: float, *, scale: Scale | None = None) -> Tensor:
    """Tokens of the tower and of the branch (N, T, 1 + L, C) -> ``(1 - w) tower + w branch``.

    A half is BT-Adapter's average; 0 leaves the branch out. The sum of Mug-STAN's Eq. 10 is twice
    the average: it leaves the range of values that a projector was trained on.

    Args:
        tower: The tower's tokens.
        branch: The branch's tokens.
        weight: w, 0 to 1.
        scale: ``'tower'`` multiplies a clip's branch tokens by the ratio of the mean norms first,
            so that they are as long as the tower's (ours).

    Raises:
        ValueError: ``weight`` is not within 0 and 1.
    """
    check_weight(weight)
    check_choice('scale', scale, Scale, optional=True)
    if scale == 'tower':
        branch = branch * (_mean_norm(tower) / _mean_norm(branch))
    return (1 - weight) * tower + weight * branch


def check_weight(weight: Any) -> None:
    """Raise ValueError unless ``weight``, the branch's share, is within 0 and 1."""
    if not 0 <= weight <= 1:
        raise ValueError(
            f'branch_weight={weight}: within 0 (the tower alone) and 1 (the branch alone); '
            '0.5 is the average'
        )


def pool(tokens: Tensor, how: Pool, *, class_token: ClassPlace = 'none') -> Tensor:
    """Tokens (N, T, 1 + L, C), a frame's class token first -> tokens of a video (N, S, C).

    Args:
        tokens: Tokens of every frame.
        how: ``'mean'`` of the frames, S = L (BT-Adapter); ``'frames'`` one after another, S = T*L,
            for few frames (ours).
        class_token: ``'none'`` drops it (LLaVA's ``'default'``), ``'first'`` keeps it before the
            patches (LLaVA's ``'full'``), ``'last'`` behind them (BT-Adapter). Each of the S / T
            groups of ``'frames'`` has one.
    """
    check_choice('pool', how, Pool)
    check_choice('class_token', class_token, ClassPlace)
    cls, patches = tokens[:, :, :1], tokens[:, :, 1:]
    order = dict(none=[patches], first=[cls, patches], last=[patches, cls])[class_token]
    chosen = torch.cat(order, dim=2)  # (N, T, L or 1 + L, C)
    return chosen.mean(dim=1) if how == 'mean' else chosen.flatten(1, 2)


def count_tokens(num_patches: int, num_frames: int, how: Pool, class_token: ClassPlace) -> int:
    """S, the number of tokens that :func:`pool` makes of ``num_frames`` frames.

    >>> count_tokens(256, 12, 'mean', 'last'), count_tokens(576, 4, 'frames', 'none')
    (257, 2304)
    """
    one = num_patches + (class_token != 'none')
    return one if how == 'mean' else num_frames * one


def _mean_norm(tokens: Tensor) -> Tensor:
    """Mean length of a clip's tokens (N, T, S, C) -> (N, 1, 1, 1)."""
    return tokens.float().norm(dim=-1, keepdim=True).mean(dim=(1, 2), keepdim=True).to(tokens.dtype)
