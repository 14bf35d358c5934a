"""Backbones: clips -> features."""

from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.models.backbones.frame_encoder import FrameEncoder

__all__ = ['FrameEncoder', 'VideoBackbone', 'clip_to_images']
