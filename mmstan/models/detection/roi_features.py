"""Features of boxes, cut out of a map of patches.

Letters: N clips, T frames, h x w patches, C channels, n boxes of all clips, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

TemporalPool = Literal['mean', 'max']


def join_maps(maps: Tensor | Sequence[Tensor]) -> Tensor:
    """One map, or several as SlowFast gives them -> one map (N, C, T, h, w).

    Several maps are stretched to the first one's h and w and to the largest T, by the nearest
    neighbours; their channels follow one another.
    """
    if isinstance(maps, Tensor):
        return maps
    size = (max(x.shape[2] for x in maps), *maps[0].shape[3:])
    return torch.cat([F.interpolate(x, size) for x in maps], dim=1)


def align_boxes(
    feature_map: Tensor,
    boxes: Sequence[Tensor],
    *,
    frame_width: int,
    output_size: int,
    temporal_pool: TemporalPool,
) -> Tensor:
    """Map (N, C, T, h, w) and boxes -> bins of each box (n, C, output_size, output_size), float32.

    Args:
        feature_map: Map of N clips.
        boxes: Boxes of each clip, (n_i, 4): x1, y1, x2, y2 in pixels of the frame.
        frame_width: W, which tells the pixels of a patch.
        output_size: Bins along each side of a box.
        temporal_pool: How the T maps of a clip become one, before the boxes are cut out. The mean
            could be taken after that as well, the maximum could not.
    """
    x = feature_map.float()  # RoIAlign does not know bfloat16 on every device
    x = x.mean(dim=2) if temporal_pool == 'mean' else x.amax(dim=2)  # (N, C, h, w)
    rois = [of_clip.to(x.device, x.dtype) for of_clip in boxes]
    scale = x.shape[-1] / frame_width
    return roi_align(x, rois, output_size, scale, sampling_ratio=0, aligned=True)


def roi_features(
    feature_map: Tensor,
    boxes: Sequence[Tensor],
    *,
    frame_width: int,
    output_size: int = 8,
    temporal_pool: TemporalPool = 'mean',
) -> Tensor:
    """Map (N, C, T, h, w) and boxes -> one feature of each box (n, C): the maximum of its bins.

    A box without an area, or turned inside out, gives zeros. The arguments are the ones of
    :func:`align_boxes`.
    """
    bins = align_boxes(
        feature_map,
        boxes,
        frame_width=frame_width,
        output_size=output_size,
        temporal_pool=temporal_pool,
    )
    return bins.flatten(2).max(dim=2).values
