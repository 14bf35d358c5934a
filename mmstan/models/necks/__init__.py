"""Necks: features -> features, over time."""

from mmstan.models.necks.frame_mask import frame_mask
from mmstan.models.necks.mean_pool import MeanPool

__all__ = ['MeanPool', 'frame_mask']
