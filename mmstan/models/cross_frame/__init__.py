"""Cross-frame modules: frames exchange information."""

from mmstan.models.cross_frame.attention import TemporalAttention
from mmstan.models.cross_frame.base import CrossFrame
from mmstan.models.cross_frame.convolution import DenseTemporalConv, TemporalConv

__all__ = ['CrossFrame', 'DenseTemporalConv', 'TemporalAttention', 'TemporalConv']
