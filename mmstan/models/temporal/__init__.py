"""Cross-frame modules: what lets frames see each other."""

from mmstan.models.temporal.attention import TemporalAttention
from mmstan.models.temporal.base import CrossFrame
from mmstan.models.temporal.convolution import DenseTemporalConv, TemporalConv
from mmstan.models.temporal.depthwise import DepthwiseTemporalConv
from mmstan.models.temporal.message_token import MessageToken

__all__ = [
    'CrossFrame',
    'DenseTemporalConv',
    'DepthwiseTemporalConv',
    'MessageToken',
    'TemporalAttention',
    'TemporalConv',
]
