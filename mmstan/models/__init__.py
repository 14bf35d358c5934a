"""Models, in the order in which a clip flows through them."""

from mmstan.models.backbones import FrameEncoder
from mmstan.models.heads import TextHead
from mmstan.models.necks import MeanPool
from mmstan.models.towers import ImageTower, MMPretrainImageTower, TextTower

__all__ = [
    'FrameEncoder',
    'ImageTower',
    'MMPretrainImageTower',
    'MeanPool',
    'TextHead',
    'TextTower',
]
