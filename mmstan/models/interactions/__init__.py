"""Interactions: texts and videos -> similarities."""

from mmstan.models.interactions.base import Interaction
from mmstan.models.interactions.cosine import Cosine

__all__ = ['Cosine', 'Interaction']
