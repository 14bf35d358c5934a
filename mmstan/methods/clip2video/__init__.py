"""CLIP2Video: the temporal difference and alignment blocks (arXiv 2106.11097)."""

from mmstan.methods.clip2video import checkpoints  # noqa: F401  (registers its names)
from mmstan.methods.clip2video.temporal_alignment import TemporalAlignment
from mmstan.methods.clip2video.temporal_difference import TemporalDifference

__all__ = ['TemporalAlignment', 'TemporalDifference']
