"""Interactions: texts and videos -> similarities."""

from mmstan.compat.moved import moved_names
from mmstan.models.interactions.base import Interaction
from mmstan.models.interactions.cosine import Cosine

__all__ = ['Cosine', 'Interaction']

__getattr__ = moved_names(__name__)
