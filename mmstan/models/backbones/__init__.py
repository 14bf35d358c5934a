"""Backbones: clips -> features."""

from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.models.backbones.dist import DiST
from mmstan.models.backbones.frame_encoder import FrameEncoder
from mmstan.models.backbones.stan import STAN
from mmstan.models.backbones.xclip import XCLIP
from mmstan.models.backbones.st_adapter import STAdapter

__all__ = [
    'STAdapter','STAN', 'XCLIP', 'DiST', 'FrameEncoder', 'VideoBackbone', 'clip_to_images']
