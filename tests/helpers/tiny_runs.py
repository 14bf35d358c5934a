"""A stock MMAction2 recognizer on random clips, through MMEngine's own Runner, in a second."""

import itertools
from pathlib import Path
from typing import Any

import torch
from mmaction.registry import DATASETS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.runner import Runner

_run = itertools.count()


@DATASETS.register_module()
class RandomClips(torch.utils.data.Dataset):
    """``length`` clips (V=1, C=3, T=4, H=32, W=32), uint8, two classes, the same every time."""

    metainfo = dict(classes=('zero', 'one'))

    def __init__(self, length: int = 4) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        clip = torch.randint(256, (1, 3, 4, 32, 32), dtype=torch.uint8, generator=generator)
        return dict(inputs=clip, data_samples=ActionDataSample().set_gt_label(index % 2))


def _loader(*, shuffle: bool) -> dict[str, Any]:
    sampler = dict(type='DefaultSampler', shuffle=shuffle)
    return dict(batch_size=2, num_workers=0, dataset=dict(type='RandomClips'), sampler=sampler)


def stock_config(work_dir: Path, **changes: Any) -> Config:
    """One epoch of SlowOnly with validation; ``changes`` are dotted keys and their values."""
    backbone = dict(type='ResNet3dSlowOnly', depth=18, base_channels=4, pretrained=None)
    head = dict(type='I3DHead', in_channels=32, num_classes=2, average_clips='prob', topk=(1,))
    preprocessor = dict(
        type='ActionDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, format_shape='NCTHW'
    )
    accuracy = dict(type='AccMetric', metric_options=dict(top_k_accuracy=dict(topk=(1,))))
    config = Config(
        dict(
            default_scope='mmaction',
            work_dir=str(work_dir),
            # MMEngine names its message hub by the second, so that two runs would share one.
            experiment_name=f'run_{next(_run)}',
            model=dict(
                type='Recognizer3D',
                backbone=backbone,
                cls_head=head,
                data_preprocessor=preprocessor,
            ),
            train_dataloader=_loader(shuffle=True),
            val_dataloader=_loader(shuffle=False),
            test_dataloader=_loader(shuffle=False),
            val_evaluator=accuracy,
            test_evaluator=accuracy,
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1),
            val_cfg=dict(type='ValLoop'),
            test_cfg=dict(type='TestLoop'),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', save_best='auto')),
            randomness=dict(seed=0),
        )
    )
    config.merge_from_dict(changes)
    return config


def stock_runner(work_dir: Path, **changes: Any) -> Runner:
    """Build the runner of :func:`stock_config`."""
    return Runner.from_cfg(stock_config(work_dir, **changes))
