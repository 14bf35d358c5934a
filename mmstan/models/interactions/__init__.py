"""Interactions: texts and videos -> similarities."""

from mmstan.models.interactions.base import Interaction, VideoFeatures

__all__ = ['Interaction', 'VideoFeatures']
