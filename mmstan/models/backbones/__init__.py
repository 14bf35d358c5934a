"""Backbones: clips -> features."""

from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.models.backbones.frame_encoder import FrameEncoder
from mmstan.models.backbones.stan import STAN
from mmstan.models.backbones.xclip import XCLIP

__all__ = ['STAN', 'XCLIP', 'FrameEncoder', 'VideoBackbone', 'clip_to_images']
