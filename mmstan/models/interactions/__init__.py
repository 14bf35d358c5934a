"""Interactions: texts and videos -> similarities."""

from mmstan.compat.moved import make_getattr
from mmstan.models.interactions.average import Average
from mmstan.models.interactions.base import Interaction
from mmstan.models.interactions.cosine import Cosine

__all__ = ['Average', 'Cosine', 'Interaction']

__getattr__ = make_getattr(__name__)
