"""EVL: a decoder over a frozen tower (ECCV 2022, arXiv 2208.03550)."""

from mmstan.methods.evl import checkpoints  # noqa: F401  (registers its names)
from mmstan.methods.evl.backbone import EVL

__all__ = ['EVL']
