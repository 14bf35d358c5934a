"""Features of boxes, from one map of patches or from two as SlowFast gives them."""

from typing import Any

from torch import Tensor

from mmstan.models.detection import align_boxes, join_maps, roi_features

INPUTS = ('feature_map', 'slow', 'fast', 'rois')


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    maps = (io['slow'], io['fast']) if 'slow' in io else io['feature_map']
    joined = join_maps(maps)
    rois = io['rois']  # (n, 5), the boxes' clips in any order: ours go clip by clip
    boxes = [rois[rois[:, 0] == i, 1:] for i in range(len(joined))]
    back = rois[:, 0].argsort(stable=True).argsort()
    width = joined.shape[-1] * meta['featmap_stride']
    ours = {}
    for name, pool in (('avg', 'mean'), ('max', 'max')):
        options: dict[str, Any] = dict(
            frame_width=width, output_size=meta['output_size'], temporal_pool=pool
        )
        if f'pooled.{name}' in io:
            ours[f'pooled.{name}'] = roi_features(joined, boxes, **options)[back]
        if f'roi_features.{name}' in io:
            ours[f'roi_features.{name}'] = align_boxes(joined, boxes, **options)[back]
    return ours
