"""Models, in the order in which a clip flows through them."""

from mmstan.models.backbones import STAN, FrameEncoder
from mmstan.models.heads import RetrievalHead, TextHead
from mmstan.models.interactions import (
    Cosine,
    Mug,
    TokenWise,
    VideoFeatures,
    WeightedTokenWise,
)
from mmstan.models.necks import MeanPool, SequenceLSTM, SequenceTransformer
from mmstan.models.temporal import DenseTemporalConv, TemporalAttention, TemporalConv
from mmstan.models.towers import ImageTower, MMPretrainImageTower, TextTower
from mmstan.models.video_text import VideoTextModel

__all__ = [
    'STAN',
    'Cosine',
    'DenseTemporalConv',
    'FrameEncoder',
    'ImageTower',
    'MMPretrainImageTower',
    'MeanPool',
    'Mug',
    'RetrievalHead',
    'SequenceLSTM',
    'SequenceTransformer',
    'TemporalAttention',
    'TemporalConv',
    'TextHead',
    'TextTower',
    'TokenWise',
    'VideoFeatures',
    'VideoTextModel',
    'WeightedTokenWise',
]
