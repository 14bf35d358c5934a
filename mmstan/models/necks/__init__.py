"""Necks: features -> features, over time."""

from mmstan.compat.moved import make_getattr
from mmstan.models.necks.mean_pool import MeanPool

__all__ = ['MeanPool']

__getattr__ = make_getattr(__name__)
