"""Features of texts and videos, and frame masks: the values that a model's parts exchange.

Letters: N clips, T frames, D joint space; M texts of J tokens; B videos of S tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor


class TextFeatures(NamedTuple):
    """Texts in the joint space, not normalised. M texts, J tokens, D joint width."""

    tokens: Tensor
    """Every token, projected, (M, J, D)."""
    sentence: Tensor
    """The whole text: its end-of-text token, or CoCa's class token, (M, D)."""
    mask: Tensor
    """True for tokens up to the first end of text, boolean (M, J)."""


class VideoFeatures(NamedTuple):
    """Videos in the joint space, not normalised. B videos, T frames, S tokens, D joint width."""

    frames: Tensor
    """Every frame, (B, T, D); a video as a whole is (B, 1, D)."""
    mask: Tensor
    """True for real frames, False for padding, boolean (B, T)."""
    tokens: Tensor | None = None
    """Every token of the real and padded frames, frame by frame, (B, T * (1 + L), D), where an
    interaction reads them."""


Features = TypeVar('Features', bound=tuple[Any, ...])


def join_features(parts: Sequence[Features]) -> Features:
    """Features of several batches, one after the other; a field that is None stays None."""
    fields: Any = (None if x[0] is None else torch.cat(x) for x in zip(*parts))
    return type(parts[0])(*fields)


def l2_normalise(x: Tensor) -> Tensor:
    """``x`` (..., D) in float32, L2-normalised."""
    return F.normalize(x.float(), dim=-1)


def need_one(x: Any, reader: str) -> Tensor:
    """``x``, the features that ``reader`` takes, if the backbone gave no second value with them.

    Raises:
        ValueError: There is one.
    """
    if isinstance(x, Tensor):
        return x
    raise ValueError(
        f'{reader} reads the features alone, and the backbone gives {len(x)} values; set '
        'context=False of mmstan.XCLIP, or frame_features=False of mmstan.DiST'
    )


def frame_mask(x: Tensor, data_samples: Sequence[Any] | Tensor | None = None) -> Tensor:
    """The frame masks of a batch.

    Args:
        x: Frame features (N, T, D).
        data_samples: N samples. A sample's field ``frame_mask``, boolean (T,), is True for its
            real frames; without the field all frames are real. An exported model gets the masks
            (N, T) themselves.

    Returns:
        Boolean (N, T), on the device of ``x``.

    Raises:
        ValueError: The number of samples is not N, the length of a mask is not T, or ``x`` is a
            pair.
    """
    x = need_one(x, 'a neck over frames')
    if isinstance(data_samples, Tensor):
        return data_samples
    masks = [getattr(sample, 'frame_mask', None) for sample in data_samples or ()]
    everything = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    if all(mask is None for mask in masks):
        return everything
    if len(masks) != len(x):
        raise ValueError(
            f'features {tuple(x.shape)} of {len(masks)} samples with frame_mask: one clip a sample '
            'is taken; set num_clips=1 and one crop in the pipeline'
        )
    # Rows without a mask stay True: all frames of such a sample are real.
    for row, mask in zip(everything, masks):
        if mask is None:
            continue
        if mask.shape != row.shape:
            raise ValueError(
                f'frame_mask {tuple(mask.shape)} for {len(row)} frames: it must be ({len(row)},); '
                'set it where the frames are sampled, and use a backbone that keeps every frame'
            )
        row.copy_(mask)
    return everything


def average_real_frames(frames: Tensor, mask: Tensor) -> Tensor:
    """Frames (B, T, D) and mask (B, T) -> mean of the real frames (B, D), 0 where none is real."""
    # A matrix product and not (frames * mask).sum(1), which would copy all frames.
    weights = mask.to(frames.dtype)
    total = (weights[:, None] @ frames).squeeze(1)
    return total / weights.sum(dim=1, keepdim=True).clamp(min=1)
