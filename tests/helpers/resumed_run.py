"""A training run of seconds with every kind of randomness, to be killed and resumed.

``python tests/resumed_run.py FOLDER [--resume] [--kill-at ITERATION]`` runs with two workers.
The samples are lines of a list, or lie in shards (:func:`use_shards`).
"""

import argparse
import os
import random
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from helpers.shard_files import write_shard
from mmaction.registry import HOOKS, MODELS, TRANSFORMS
from mmaction.structures import ActionDataSample
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import BaseModule
from mmengine.runner import Runner
from torch import nn

import mmstan  # noqa: F401
from mmstan.datasets.readers import BrokenVideoError

SAMPLES, BATCH, EPOCHS, CLASSES = 18, 4, 3, 3
BATCHES = 5  # an epoch; the last one is not full
ORDER = 1  # of the annotations; -1: from the last to the first


@TRANSFORMS.register_module(force=True)
class NoiseClip(BaseTransform):
    """Instead of a video: noise (1, 3, 2, 6, 6) from three random streams, around the label."""

    def __init__(self, broken: Sequence[str] = ()) -> None:
        self.broken = broken

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        if results['filename'] in self.broken and not results.get('blank'):
            raise BrokenVideoError(results['filename'], 'is cut off')
        noise = torch.rand(1, 3, 2, 6, 6) * (20 + 20 * random.random()) + 20 * np.random.rand()
        label = int(results['captions'][0]) if 'captions' in results else results['label']
        sample = ActionDataSample().set_gt_label(label)
        sample.set_metainfo(dict(name=results['filename']))
        return dict(inputs=noise + 60 * label, data_samples=sample)


@MODELS.register_module(force=True)
class DropoutConv(BaseModule):
    """Two layers with batch normalisation and drop-out; counts its initialisations."""

    initialised = 0

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv3d(3, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU(), nn.Dropout(0.3)
        )

    def init_weights(self) -> None:
        super().init_weights()
        DropoutConv.initialised += 1

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return self.layers(clip)


@HOOKS.register_module(force=True)
class WriteLosses(Hook):
    """``iteration loss`` a line, to the last digit; then, if asked, the end that kill -9 is."""

    def __init__(self, file: str, kill_at: int | None = None, stop_at: int | None = None) -> None:
        self.file, self.kill_at, self.stop_at = file, kill_at, stop_at

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any, outputs: Any
    ) -> None:
        assert batch_idx == runner.iter % len(runner.train_dataloader)
        with open(self.file, 'a') as file:
            file.write(f'{runner.iter} {outputs["loss"].item()!r}\n')
        if runner.iter == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if runner.iter == self.stop_at:
            raise KeyboardInterrupt


@HOOKS.register_module(force=True)
class WriteSamples(Hook):
    """``iteration name name ...`` a line, of the samples of this rank's batch."""

    def __init__(self, file: str) -> None:
        self.file = f'{file}.{get_rank()}'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        names = [sample.name.rpartition('/')[2] for sample in data_batch['data_samples']]
        with open(self.file, 'a') as file:
            file.write(' '.join([str(runner.iter), *names]) + '\n')


def use_shards(
    cfg: Config, folder: Path, *, broken: Sequence[str] = ('00001.tar#00001002',)
) -> None:
    """Put the training samples into three shards, one of them broken, and shuffle within two."""
    for number in range(3):
        keys = range(1000 * number, 1000 * number + SAMPLES // 3)
        members = [
            (f'{key:08d}.{ending}', data)
            for key in keys
            for ending, data in (('mp4', b'video'), ('txt', str(key % CLASSES).encode()))
        ]
        path = folder / f'shards/{number:05d}.tar'
        if not path.exists():
            write_shard(path, members)
    names = [f'{folder}/shards/{name}' for name in broken]
    # Assigned, because `update` would merge them into the list's.
    cfg.train_dataloader.sampler = dict(type='mmstan.ShardSampler', window=2)
    pipeline = [dict(type='NoiseClip', broken=names)]
    cfg.train_dataloader.dataset = dict(
        type='mmstan.Shards', urls=f'{folder}/shards', pipeline=pipeline
    )
    cfg.custom_hooks.append(dict(type='WriteSamples', file=f'{folder}/samples.txt'))


def read_losses(file: Path) -> list[tuple[int, float]]:
    """(iteration, loss) in the order of training."""
    lines = [line.split() for line in file.read_text().splitlines()]
    return [(int(iteration), float(loss)) for iteration, loss in lines]


def make_config(
    folder: Path, *, losses: str = 'losses.txt', num_workers: int = 0, **stop: int | None
) -> Config:
    """A config whose work dir is ``folder``; ``stop`` goes to :class:`WriteLosses`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f'{i}.mp4 {i % CLASSES}\n' for i in range(SAMPLES)][::ORDER]
    (folder / 'list.txt').write_text(''.join(lines))
    loader = dict(
        batch_size=BATCH,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(
            type='mmstan.VideoDataset',
            ann_file=str(folder / 'list.txt'),
            data_prefix=dict(video=''),
            pipeline=[dict(type='NoiseClip')],
        ),
    )
    test_set = dict(loader['dataset'], test_mode=True)
    evaluator = dict(type='mmstan.AccMetric', metric_options=dict(top_k_accuracy=dict(topk=(1,))))
    return Config(
        dict(
            default_scope='mmaction',
            model=dict(
                type='Recognizer3D',
                backbone=dict(type='DropoutConv'),
                cls_head=dict(
                    type='I3DHead',
                    num_classes=CLASSES,
                    in_channels=8,
                    topk=(1,),
                    dropout_ratio=0.5,
                    average_clips='prob',
                ),
                data_preprocessor=dict(
                    type='ActionDataPreprocessor',
                    mean=[128.0] * 3,
                    std=[60.0] * 3,
                    format_shape='NCTHW',
                    blending=dict(type='MixupBlending', num_classes=CLASSES, alpha=0.5),
                ),
            ),
            train_dataloader=loader,
            val_dataloader=dict(
                loader,
                num_workers=0,
                persistent_workers=False,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=test_set,
            ),
            val_evaluator=evaluator,
            train_cfg=dict(type='mmstan.EpochTrainLoop', max_epochs=EPOCHS, val_interval=1),
            val_cfg=dict(type='ValLoop'),
            optim_wrapper=dict(
                type='OptimWrapper',
                constructor='mmstan.ParamGroups',
                optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.02),
                paramwise_cfg=dict(rules=[dict(match='backbone', lr_mult=2), dict(match='cls')]),
            ),
            param_scheduler=[
                dict(type='LinearLR', start_factor=0.1, end=4, by_epoch=False),
                dict(type='CosineAnnealingLR', T_max=EPOCHS, convert_to_iter_based=True),
                dict(type='MultiStepLR', milestones=[1, 2], gamma=0.5),
            ],
            default_hooks=dict(
                checkpoint=dict(
                    type='CheckpointHook', by_epoch=False, interval=3, max_keep_ckpts=2
                ),
            ),
            custom_hooks=[
                dict(type='mmstan.SaveRNG'),
                dict(type='mmstan.PrepareResume'),
                dict(type='mmstan.BrokenVideos'),
                dict(type='EMAHook', momentum=0.1),
                dict(type='WriteLosses', file=str(folder / losses), **stop),
            ],
            randomness=dict(seed=1),
            work_dir=str(folder),
        )
    )


if __name__ == '__main__':
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument('folder', type=Path)
    parser.add_argument('--resume', action='store_true')
    parser.add_argument('--kill-at', type=int)
    arguments = parser.parse_args()
    cfg = make_config(arguments.folder, num_workers=2, kill_at=arguments.kill_at)
    cfg.resume = arguments.resume
    Runner.from_cfg(cfg).train()
