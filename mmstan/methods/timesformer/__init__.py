"""TimeSformer: joint and divided space-time attention (ICML 2021, arXiv 2102.05095)."""

from mmstan.methods.timesformer import checkpoints  # noqa: F401  (registers its names)
from mmstan.methods.timesformer.divided import DividedSpaceTime
from mmstan.methods.timesformer.joint import JointSpaceTime

__all__ = ['DividedSpaceTime', 'JointSpaceTime']
