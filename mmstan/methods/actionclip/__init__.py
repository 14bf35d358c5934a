"""ActionCLIP: temporal shift and convolution over frames (arXiv 2109.08472)."""

from mmstan.methods.actionclip import checkpoints  # noqa: F401  (registers its names)
from mmstan.methods.actionclip.sequence_conv import SequenceConv
from mmstan.methods.actionclip.temporal_shift import TemporalShift

__all__ = ['SequenceConv', 'TemporalShift']
