"""Interactions: texts and videos -> similarities."""

from mmstan.models.interactions.base import Interaction, VideoFeatures
from mmstan.models.interactions.cosine import Cosine, unit
from mmstan.models.interactions.hunyuan import HunyuanLike
from mmstan.models.interactions.mug import Mug
from mmstan.models.interactions.tight_transformer import TightTransformer
from mmstan.models.interactions.tiles import tiled
from mmstan.models.interactions.token_wise import TokenWise, WeightedTokenWise

__all__ = [
    'Cosine',
    'HunyuanLike',
    'Interaction',
    'Mug',
    'TightTransformer',
    'TokenWise',
    'VideoFeatures',
    'WeightedTokenWise',
    'tiled',
    'unit',
]
