"""Action detection on boxes, for every backbone, without MMDetection."""

from mmstan.models.detection.action_head import ActionHead
from mmstan.models.detection.detector import ActionDetector
from mmstan.models.detection.feature_map import FeatureMap, freeze_unused
from mmstan.models.detection.roi_features import align_boxes, join_maps, roi_features
from mmstan.models.detection.roi_head import ActionRoIHead
from mmstan.models.detection.train_boxes import find_whole_boxes, match_proposals, train_boxes

__all__ = [
    'ActionDetector',
    'ActionHead',
    'ActionRoIHead',
    'FeatureMap',
    'align_boxes',
    'find_whole_boxes',
    'freeze_unused',
    'join_maps',
    'match_proposals',
    'roi_features',
    'train_boxes',
]
