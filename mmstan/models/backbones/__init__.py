"""Backbones: clips -> features."""

from mmstan.compat.moved import make_getattr
from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.models.backbones.frame_encoder import FrameEncoder

__all__ = ['FrameEncoder', 'VideoBackbone', 'clip_to_images']

__getattr__ = make_getattr(__name__)
