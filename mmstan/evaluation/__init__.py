"""Metrics and test protocols."""

from mmstan.evaluation.acc_metric import AccMetric
from mmstan.evaluation.normalisation import dual_softmax, qb_norm
from mmstan.evaluation.ranks import (
    VideoRanks,
    summarise,
    text_to_video_ranks,
    video_to_text_ranks,
)
from mmstan.evaluation.retrieval_metric import RetrievalMetric
from mmstan.evaluation.scores import Blocks, MatrixBlocks, ScoreBlocks

__all__ = [
    'AccMetric',
    'Blocks',
    'MatrixBlocks',
    'RetrievalMetric',
    'ScoreBlocks',
    'VideoRanks',
    'dual_softmax',
    'qb_norm',
    'summarise',
    'text_to_video_ranks',
    'video_to_text_ranks',
]
