"""MMAction2's detector with its own vision transformer, weights strictly loaded."""

from typing import Any

import torch
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from mmstan.models.detection import ActionDetector

INPUTS = ('clip', '*.gt_boxes', '*.gt_labels', '*.proposals')


def recorded(meta: dict[str, Any]) -> dict[str, Tensor]:
    return {name: torch.tensor(value) for name, value in meta['losses'].items()}


def build(meta: dict[str, Any], state: dict[str, Tensor]) -> ActionDetector:
    head = dict(
        type='mmstan.ActionHead',
        in_channels=state['roi_head.bbox_head.fc_cls.weight'].shape[1],
        num_classes=meta['num_classes'],
        topk=meta['topk'],
        dropout=meta['dropout'],
    )
    pool = {'avg': 'mean'}.get(meta['temporal_pool'], meta['temporal_pool'])
    detector = ActionDetector(
        dict(meta['backbone'], type=f'mmaction.{meta["backbone"]["type"]}'),
        dict(
            type='mmstan.ActionRoIHead',
            bbox_head=head,
            output_size=meta['output_size'],
            temporal_pool=pool,
        ),
        data_preprocessor=dict(
            meta['data_preprocessor'],
            type='mmaction.ActionDataPreprocessor',
            format_shape='NCTHW',
        ),
    )
    detector.load_state_dict(state)
    return detector.eval()


def make_samples(meta: dict[str, Any], io: dict[str, Tensor]) -> list[ActionDataSample]:
    return [
        ActionDataSample(
            metainfo=dict(img_shape=tuple(meta['img_shape'])),
            gt_instances=InstanceData(bboxes=io[f'{i}.gt_boxes'], labels=io[f'{i}.gt_labels']),
            proposals=InstanceData(bboxes=io[f'{i}.proposals']),
        )
        for i in range(meta['clips'])
    ]


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    detector = build(meta, state)
    batch = dict(inputs=list(io['clip']), data_samples=make_samples(meta, io))
    batch = detector.data_preprocessor(batch)
    ours = dict(feature_map=detector(batch['inputs']), **detector(**batch, mode='loss'))
    for i, sample in enumerate(detector(**batch, mode='predict')):
        ours[f'{i}.predicted_boxes'] = sample.pred_instances.bboxes
        ours[f'{i}.predicted_scores'] = sample.pred_instances.scores
    return ours
