"""Interactions: texts and videos -> similarities."""

from mmstan.models.interactions.base import Interaction, VideoFeatures
from mmstan.models.interactions.cosine import Cosine, masked_mean, unit
from mmstan.models.interactions.mug import Mug
from mmstan.models.interactions.tiles import tiled

__all__ = ['Cosine', 'Interaction', 'Mug', 'VideoFeatures', 'masked_mean', 'tiled', 'unit']
