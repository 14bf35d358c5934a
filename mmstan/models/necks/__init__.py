"""Necks: features -> features, over time."""

from mmstan.models.necks.frame_mask import frame_mask, masked_mean
from mmstan.models.necks.mean_pool import MeanPool
from mmstan.models.necks.multi_frame_integration import MultiFrameIntegration
from mmstan.models.necks.sequence_conv import SequenceConv
from mmstan.models.necks.sequence_lstm import SequenceLSTM
from mmstan.models.necks.sequence_transformer import SequenceTransformer
from mmstan.models.necks.temporal_difference import TemporalDifference

__all__ = [
    'MeanPool',
    'MultiFrameIntegration',
    'SequenceConv',
    'SequenceLSTM',
    'SequenceTransformer',
    'TemporalDifference',
    'frame_mask',
    'masked_mean',
]
