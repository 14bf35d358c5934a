"""Necks: features -> features, over time."""

from mmstan.compat.moved import moved_names
from mmstan.models.necks.mean_pool import MeanPool

__all__ = ['MeanPool']

__getattr__ = moved_names(__name__)
