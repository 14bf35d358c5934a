"""Models, in the order in which a clip flows through them."""

from mmstan.models.backbones import STAN, FrameEncoder
from mmstan.models.heads import TextHead
from mmstan.models.necks import MeanPool
from mmstan.models.temporal import DenseTemporalConv, TemporalAttention, TemporalConv
from mmstan.models.towers import ImageTower, MMPretrainImageTower, TextTower

__all__ = [
    'STAN',
    'DenseTemporalConv',
    'FrameEncoder',
    'ImageTower',
    'MMPretrainImageTower',
    'MeanPool',
    'TemporalAttention',
    'TemporalConv',
    'TextHead',
    'TextTower',
]
