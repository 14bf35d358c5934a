"""Backbones: clips -> features."""

from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.models.backbones.frame_encoder import FrameEncoder
from mmstan.models.backbones.stan import STAN

__all__ = ['STAN', 'FrameEncoder', 'VideoBackbone', 'clip_to_images']
