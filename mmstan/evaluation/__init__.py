"""Metrics and test protocols."""

from mmstan.datasets.few_shot import choose_few_shot
from mmstan.evaluation.acc_metric import AccMetric
from mmstan.evaluation.detection_metric import AVAMetric
from mmstan.evaluation.dumps import read_dump
from mmstan.evaluation.normalisation import dual_softmax, qb_norm
from mmstan.evaluation.ranks import (
    VideoRanks,
    summarise,
    text_to_video_ranks,
    video_to_text_ranks,
)
from mmstan.evaluation.retrieval_metric import RetrievalMetric
from mmstan.evaluation.scores import Blocks, MatrixBlocks, ScoreBlocks
from mmstan.evaluation.splits import format_splits, mean_and_deviation, split_configs
from mmstan.evaluation.verb_noun_metric import VerbNounMetric, action_ranks
from mmstan.models.heads.class_names import class_index_names

__all__ = [
    'AVAMetric',
    'AccMetric',
    'Blocks',
    'MatrixBlocks',
    'RetrievalMetric',
    'ScoreBlocks',
    'VerbNounMetric',
    'VideoRanks',
    'action_ranks',
    'choose_few_shot',
    'class_index_names',
    'dual_softmax',
    'format_splits',
    'mean_and_deviation',
    'qb_norm',
    'read_dump',
    'split_configs',
    'summarise',
    'text_to_video_ranks',
    'video_to_text_ranks',
]
