"""DiST: disentangled spatial and temporal learning (ICCV 2023, arXiv 2309.07911)."""

from mmstan.methods.dist import checkpoints  # noqa: F401  (registers its names)
from mmstan.methods.dist.backbone import DiST
from mmstan.methods.dist.fused_text_head import FusedTextHead

__all__ = ['DiST', 'FusedTextHead']
