"""Where in a video a layer's tokens raise a score: class activation maps and attention maps.

Letters: T frames, h x w patches, C channels.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mmstan.wording import check_choice

Weights = Literal['frame', 'video', 'element']
Scale = Literal['video', 'frame']


def gradcam(tokens: Tensor, gradient: Tensor, *, weights: Weights) -> Tensor:
    """``relu(sum_c a_c A_c)`` at every patch, for tokens A and the score's gradient G at them.

    Args:
        tokens: A, (T, h, w, C).
        gradient: G, same shape.
        weights: ``'frame'``: a_c is the mean of G over the patches of each frame (Grad-CAM, a frame
            being an image). ``'video'``: the mean over all patches, which makes frames comparable.
            ``'element'``: a_c is G at the patch itself (HiResCAM), so the map, before the relu, is
            the change of the score with the length of the tokens.

    Returns:
        Map (T, h, w), 0 or more.

    >>> tokens, gradient = torch.tensor([[[[1.0], [2.0]]]]), torch.tensor([[[[3.0], [-1.0]]]])
    >>> gradcam(tokens, gradient, weights='frame'), gradcam(tokens, gradient, weights='element')
    (tensor([[[1., 2.]]]), tensor([[[3., 0.]]]))
    """
    check_choice('weights', weights, Weights)
    if weights == 'frame':
        gradient = gradient.mean(dim=(1, 2), keepdim=True)
    elif weights == 'video':
        gradient = gradient.mean(dim=(0, 1, 2), keepdim=True)
    return (gradient * tokens).sum(dim=-1).relu()


def attention_map(weights: Tensor, gradient: Tensor | None = None) -> Tensor:
    """Mean over the heads of the class token's attention to the patches.

    With the score's gradient at the weights, the mean of ``relu(gradient * weights)`` (Chefer's
    rule for one layer, arXiv 2103.15679).

    Args:
        weights: Attention of the class token (T, heads, h, w).
        gradient: Gradient of the score, same shape.

    Returns:
        Map (T, h, w), 0 or more.
    """
    return (weights if gradient is None else (gradient * weights).relu()).mean(dim=1)


def scaled(maps: Tensor, by: Scale) -> Tensor:
    """Maps (T, h, w), 0 or more, divided by their maximum; zeros stay.

    Args:
        maps: The maps of a video's frames.
        by: ``'video'``: one maximum for all frames. ``'frame'``: each frame's own.

    >>> scaled(torch.tensor([[[1.0, 2.0]], [[4.0, 0.0]]]), 'video').tolist()
    [[[0.25, 0.5]], [[1.0, 0.0]]]
    """
    check_choice('scale', by, Scale)
    most = maps.amax() if by == 'video' else maps.amax(dim=(1, 2), keepdim=True)
    return maps / torch.where(most > 0, most, 1)


def compute_frame_shares(maps: Tensor) -> Tensor:
    """Share of each frame in a video's map (T, h, w), (T,); zeros where the map is zero."""
    sums = maps.sum(dim=(1, 2))
    return sums / sums.sum().clamp(min=torch.finfo(sums.dtype).tiny)


def compute_gain(maps: Tensor, shape: Tensor) -> float:
    """How much more of a map lies on a shape than would of an even map.

    Args:
        maps: Map (T, h, w), 0 or more.
        shape: Share of each patch that the shape covers, (T, h, w), in [0, 1].

    Returns:
        Share of the map on the shape, divided by the share of the picture; 1 for an even map, nan
        for a map of zeros or a picture without the shape.

    >>> compute_gain(torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[1.0, 0.0]]]))
    1.5
    """
    return float((maps * shape).sum() / maps.sum() / shape.mean())
