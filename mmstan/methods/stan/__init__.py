"""STAN: spatial-temporal auxiliary network (CVPR 2023, arXiv 2301.11116)."""

from mmstan.methods.stan import checkpoints  # noqa: F401  (registers its names)
from mmstan.methods.stan.backbone import STAN

__all__ = ['STAN']
