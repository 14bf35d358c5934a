"""Data sets and what their samples go through."""

from mmstan.datasets.reliable import ReliableSamples, set_epoch
from mmstan.datasets.video_dataset import VideoDataset

__all__ = ['ReliableSamples', 'VideoDataset', 'set_epoch']
