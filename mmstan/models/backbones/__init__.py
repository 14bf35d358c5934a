"""Backbones: clips -> features."""

from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.models.backbones.dist import DiST
from mmstan.models.backbones.divided_space_time import DividedSpaceTime
from mmstan.models.backbones.evl import EVL
from mmstan.models.backbones.frame_encoder import FrameEncoder
from mmstan.models.backbones.joint_space_time import JointSpaceTime
from mmstan.models.backbones.st_adapter import STAdapter
from mmstan.models.backbones.stan import STAN
from mmstan.models.backbones.temporal_shift import TemporalShift
from mmstan.models.backbones.tube_patches import TubePatches
from mmstan.models.backbones.xclip import XCLIP

__all__ = [
    'EVL',
    'STAN',
    'XCLIP',
    'DiST',
    'DividedSpaceTime',
    'FrameEncoder',
    'JointSpaceTime',
    'STAdapter',
    'TemporalShift',
    'TubePatches',
    'VideoBackbone',
    'clip_to_images',
]
