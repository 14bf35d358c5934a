"""Models: the contracts, each with its simplest instance, in the order in which a clip flows."""

from mmstan.compat.moved import make_getattr
from mmstan.models.backbones import FrameEncoder
from mmstan.models.cross_frame import DenseTemporalConv, TemporalAttention, TemporalConv
from mmstan.models.detection import ActionDetector, ActionHead, ActionRoIHead, FeatureMap
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.heads import RetrievalHead, TextHead, VerbNounHead
from mmstan.models.interactions import Cosine
from mmstan.models.necks import MeanPool
from mmstan.models.towers import ImageTower, MMPretrainImageTower, TextTower
from mmstan.models.video_text import VideoTextModel

__all__ = [
    'ActionDetector',
    'ActionHead',
    'ActionRoIHead',
    'Cosine',
    'DenseTemporalConv',
    'FeatureMap',
    'FrameEncoder',
    'ImageTower',
    'MMPretrainImageTower',
    'MeanPool',
    'RetrievalHead',
    'TemporalAttention',
    'TemporalConv',
    'TextFeatures',
    'TextHead',
    'TextTower',
    'VerbNounHead',
    'VideoFeatures',
    'VideoTextModel',
]

__getattr__ = make_getattr(__name__)
