"""Cross-frame modules: what lets frames see each other."""

from mmstan.models.temporal.attention import TemporalAttention
from mmstan.models.temporal.base import CrossFrame
from mmstan.models.temporal.convolution import DenseTemporalConv, TemporalConv

__all__ = ['CrossFrame', 'DenseTemporalConv', 'TemporalAttention', 'TemporalConv']
