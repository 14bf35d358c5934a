"""From a map of patches and boxes to losses, or to scores of actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmaction.structures import ActionDataSample
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor
from typing_extensions import Self

from mmstan.models.detection.action_head import ActionHead
from mmstan.models.detection.roi_features import TemporalPool, roi_features
from mmstan.models.detection.train_boxes import LEAST_SIDE, find_whole_boxes, train_boxes
from mmstan.registry import MODELS
from mmstan.wording import check_choice


@MODELS.register_module()
class ActionRoIHead(BaseModule):
    """Cuts the features of boxes out of a map, and scores their actions.

    The map's mean over time is cut into ``output_size`` x ``output_size`` bins of each box
    (RoIAlign), and the maximum of the bins is the feature of the box (Mug-STAN: "RoIAlign with max
    pooling in the last layer").

    Args:
        bbox_head: Config of an :class:`ActionHead`.
        output_size: Bins along each side of a box.
        temporal_pool: ``'mean'`` or ``'max'`` over the frames.
        person_score: At test, multiply the scores of actions by the score of the person's box.

    Raises:
        ValueError: ``temporal_pool`` is something else.
    """

    def __init__(
        self,
        bbox_head: dict[str, Any],
        *,
        output_size: int = 8,
        temporal_pool: TemporalPool = 'mean',
        person_score: bool = False,
    ) -> None:
        super().__init__()
        check_choice('temporal_pool', temporal_pool, TemporalPool)
        self.bbox_head: ActionHead = MODELS.build(bbox_head)
        self.output_size, self.temporal_pool = output_size, temporal_pool
        self.person_score = person_score
        self._boxes = self._emptied = 0  # of the ground truth, since the last line in the log

    def train(self, mode: bool = True) -> Self:
        """Switch the mode, as loops do once an epoch; log how many boxes the crops emptied."""
        if self._emptied:
            print_log(
                f'{self._emptied} of {self._boxes} boxes were left out of the training: their crop '
                f'left less than {LEAST_SIDE} pixels of a side, or emptied them',
                'current',
            )
        self._boxes = self._emptied = 0
        return super().train(mode)

    def forward(self, feature_map: Tensor, boxes: Sequence[Tensor], frame_width: int) -> Tensor:
        """Map (N, C, T, h, w) and boxes of each clip (n_i, 4) -> logits of all boxes (n, K).

        Args:
            feature_map: Map of N clips.
            boxes: N tensors, x1, y1, x2, y2 in pixels of the frames.
            frame_width: Pixels of a frame's width.
        """
        with torch.autocast(feature_map.device.type, enabled=False):
            features = roi_features(
                feature_map,
                boxes,
                frame_width=frame_width,
                output_size=self.output_size,
                temporal_pool=self.temporal_pool,
            )
            return self.bbox_head(features)

    def loss(
        self, feature_map: Tensor, data_samples: Sequence[ActionDataSample], frame_width: int
    ) -> dict[str, Tensor]:
        """The losses of :meth:`ActionHead.loss` on the training boxes of N clips."""
        chosen = [self._choose_boxes(sample, feature_map.device) for sample in data_samples]
        logits = self(feature_map, [boxes for boxes, _ in chosen], frame_width)
        with torch.autocast(feature_map.device.type, enabled=False):
            return self.bbox_head.loss(logits, torch.cat([labels for _, labels in chosen]))

    def predict(
        self, feature_map: Tensor, data_samples: Sequence[ActionDataSample], frame: tuple[int, int]
    ) -> list[InstanceData]:
        """Score the proposals of N clips.

        Args:
            feature_map: Map (N, C, T, h, w).
            data_samples: N samples with ``proposals``.
            frame: H and W of the clips.

        Returns:
            For each clip ``bboxes`` (n_i, 4), as fractions of the frame, and ``scores`` (n_i, K).
            For a pipeline that crops, ``PackActionInputs`` packs ``crop_quadruple``.

        Raises:
            ValueError: A sample has no proposals, or no scores of them with ``person_score``.
        """
        height, width = frame
        boxes = [_read_boxes(sample, 'proposals', feature_map.device) for sample in data_samples]
        scores = self.bbox_head.scores(self(feature_map, boxes, width))
        size = scores.new_tensor([width, height, width, height])
        found = []
        for sample, of_clip, actions in zip(
            data_samples, boxes, scores.split([len(of_clip) for of_clip in boxes])
        ):
            if self.person_score:
                actions = actions * _read_person_scores(sample, actions)[:, None]
            fractions = _undo_crop(of_clip / size, sample)
            found.append(InstanceData(bboxes=fractions, scores=actions))
        return found

    def _choose_boxes(
        self, sample: ActionDataSample, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Boxes (n_i, 4) of a clip to train on, and their actions (n_i, K)."""
        gt = _read_boxes(sample, 'gt_instances', device)
        labels = sample.gt_instances.labels.to(device, torch.float32)
        if labels.ndim != 2 or labels.shape[1] != self.bbox_head.num_classes:
            raise ValueError(
                f'{_name(sample)}: labels {tuple(labels.shape)}, but the head has num_classes='
                f'{self.bbox_head.num_classes}; set num_classes of the data set and of the head to '
                'the number of actions + 1'
            )
        whole = find_whole_boxes(gt)
        self._boxes += len(gt)
        self._emptied += len(gt) - int(whole.sum())
        proposals = gt[:0]
        if hasattr(sample, 'proposals'):
            proposals = _read_boxes(sample, 'proposals', device)
        return train_boxes(gt[whole], labels[whole], proposals)


def _read_boxes(sample: ActionDataSample, field: str, device: torch.device) -> Tensor:
    """Boxes (n_i, 4) of a data sample's field, float32."""
    if not hasattr(sample, field):
        raise ValueError(
            f'{_name(sample)} has no {field}: the data set must give boxes, and the pipeline pack '
            'them (PackActionInputs)'
        )
    return getattr(sample, field).bboxes.to(device, torch.float32).reshape(-1, 4)


def _undo_crop(boxes: Tensor, sample: ActionDataSample) -> Tensor:
    """Boxes (n_i, 4) as fractions of a crop -> of the frame, if the sample knows its crop."""
    if 'crop_quadruple' not in sample:
        return boxes
    x, y, width, height = (float(value) for value in sample.get('crop_quadruple'))
    crop = boxes.new_tensor([width, height, width, height])
    return boxes * crop + boxes.new_tensor([x, y, x, y])


def _read_person_scores(sample: ActionDataSample, like: Tensor) -> Tensor:
    """Scores of a clip's proposals (n_i)."""
    found = sample.proposals.get('scores', sample.get('scores'))
    if found is None:
        raise ValueError(
            f'{_name(sample)} has no scores of its persons, which person_score=True multiplies by; '
            "end the pipeline with PackActionInputs(algorithm_keys=('scores',))"
        )
    return torch.as_tensor(found).to(like)


def _name(sample: ActionDataSample) -> str:
    """Name the key frame of a sample, for a message."""
    return f'key frame {sample.get("video_id", "?")}, {sample.get("timestamp", "?")}'
