"""Necks: features -> features, over time."""

from mmstan.models.necks.mean_pool import MeanPool

__all__ = ['MeanPool']
