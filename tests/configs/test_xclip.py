"""X-CLIP's configs: the recipe of paper and release in a table, and what the ablations change."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.scripts import PROJECT
from helpers.shipped_configs import CONFIGS, parameter_groups
from mmaction.registry import TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope

from mmstan.evaluation import split_configs

# configs/xclip/..., frames, clips of a step on 8 GPUs, learning rate, epochs, classes, pixels,
# views
RECIPES = [
    ('k400_b32', 8, 256, 8e-6, 30, 400, 224, 12),
    ('k400_b32_16f', 16, 256, 8e-6, 30, 400, 224, 12),
    ('k400_b16', 8, 256, 8e-6, 30, 400, 224, 12),
    ('k400_b16_16f', 16, 256, 8e-6, 30, 400, 224, 12),
    ('k400_b16_32f', 32, 256, 8e-6, 10, 400, 224, 12),
    ('k400_l14', 8, 256, 8e-6, 30, 400, 224, 12),
    ('k400_l14_336_16f', 16, 256, 8e-6, 30, 400, 336, 12),
    ('k600_b16', 8, 256, 8e-6, 30, 600, 224, 12),
    ('k600_b16_16f', 16, 256, 8e-6, 30, 600, 224, 12),
    ('k600_l14', 8, 256, 8e-6, 30, 600, 224, 12),
    ('few_shot/ucf101_b16_32f_2shot', 32, 64, 2e-6, 50, 101, 224, 1),
    ('few_shot/ucf101_b16_32f_16shot', 32, 64, 2e-6, 50, 101, 224, 1),
    ('few_shot/hmdb51_b16_32f_4shot', 32, 64, 2e-6, 50, 51, 224, 1),
    ('few_shot/hmdb51_b16_32f_8shot', 32, 64, 2e-6, 50, 51, 224, 1),
    ('zero_shot/ucf101_b16_32f', 32, 256, 8e-6, 10, 400, 224, 1),
    ('zero_shot/k600_b16_32f', 32, 256, 8e-6, 10, 400, 224, 1),
]
AUGMENTATION = [
    'mmstan.ReadFrames',
    'Resize',
    'MultiScaleCrop',
    'Resize',
    'Flip',
    'mmstan.ColorJitter',
    'TransformBroadcaster',
    'FormatShape',
    'PackActionInputs',
]


def load(name: str) -> Config:
    cfg = Config.fromfile(PROJECT / f'configs/{name}.py')
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.mark.parametrize('recipe', RECIPES, ids=[recipe[0] for recipe in RECIPES])
def test_recipes(recipe: tuple[Any, ...]) -> None:
    name, frames, clips, lr, epochs, classes, pixels, _ = recipe
    cfg = load(f'xclip/{name}')
    steps = cfg.optim_wrapper.accumulative_counts
    assert cfg.auto_scale_lr.base_batch_size == 8 * cfg.train_dataloader.batch_size * steps == clips
    assert cfg.optim_wrapper.optimizer == dict(
        type='AdamW', lr=lr, betas=(0.9, 0.98), eps=1e-8, weight_decay=1e-3, fused=True
    )
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[1].end == epochs
    assert cfg.param_scheduler[1].eta_min == pytest.approx(lr / 100)
    assert cfg.model.neck.num_frames == frames
    assert [x.num_classes for x in cfg.model.data_preprocessor.blending.augments] == [classes] * 2
    assert [x.alpha for x in cfg.model.data_preprocessor.blending.augments] == [0.8, 1.0]
    assert cfg.model.cls_head.label_smooth_eps == 0.1
    side = {224: 256, 336: 384}[pixels]
    train = cfg.train_dataloader.dataset.pipeline
    assert [step.type for step in train] == AUGMENTATION
    assert train[1].scale == (-1, side)
    assert train[2].input_size == pixels
    validation = cfg.val_dataloader.dataset.pipeline
    assert [validation[1].scale, validation[2].crop_size] == [(-1, side), pixels]


@pytest.mark.parametrize('recipe', RECIPES, ids=[recipe[0] for recipe in RECIPES])
def test_frames_and_views(recipe: tuple[Any, ...]) -> None:
    """Through the pipelines, with black frames in the place of a video."""
    name, frames, _, _, _, _, pixels, views = recipe
    cfg = load(f'xclip/{name}')
    for split, wanted in (('train', 1), ('val', 1), ('test', views)):
        pipeline = cfg[f'{split}_dataloader'].dataset.pipeline
        if split == 'train' or frames == 8:  # larger ones take time and show nothing new
            packed = Compose([TRANSFORMS.build(step) for step in pipeline])(
                dict(filename='black.mp4', blank=True, label=0, modality='RGB')
            )
            assert packed['inputs'].shape == (wanted, 3, frames, pixels, pixels)
        assert pipeline[0].sampler.num_frames == frames
        crops = {'ThreeCrop': 3, 'CenterCrop': 1}.get(pipeline[2].type, 1)
        assert pipeline[0].sampler.get('num_clips', 1) * crops == wanted


def test_clips_of_the_test_are_the_same_every_time() -> None:
    sampler = TRANSFORMS.build(load('xclip/k400_b16').test_pipeline[0].sampler)
    first, second = (sampler.transform(dict(total_frames=250))['frame_inds'] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    clips = first.reshape(4, 8)
    assert len({tuple(clip) for clip in clips}) == 4
    segments = clips * 8 // 250
    np.testing.assert_array_equal(segments, np.tile(np.arange(8), (4, 1)))


def test_greyscale_is_of_whole_clips() -> None:
    step = TRANSFORMS.build(load('xclip/k400_b16').train_pipeline[6])
    rng, grey = np.random.default_rng(0), []
    for _ in range(200):
        frames = list(rng.integers(0, 255, (3, 4, 4, 3), dtype=np.uint8))
        results = step(dict(imgs=frames))['imgs']
        same = {bool((frame == frame[..., :1]).all()) for frame in results}
        assert len(same) == 1
        grey.append(same.pop())
        assert all(frame.shape == (4, 4, 3) and frame.dtype == np.uint8 for frame in results)
    assert 20 < sum(grey) < 65  # of 40 expected, with a deviation of 6


@pytest.mark.parametrize('name', ['k400_b32', 'k600_l14', 'few_shot/hmdb51_b16_32f_2shot'])
def test_learning_rates_and_decay(name: str, tmp_path: Path) -> None:
    groups = parameter_groups(f'xclip/{name}', tmp_path)
    lr = 2e-6 if 'few_shot' in name else 8e-6
    assert not any(key.startswith(('cls_head.texts', 'cls_head.logit_scale')) for key in groups)
    for key, group in groups.items():
        tower = key.startswith('backbone.tower.')
        assert group['lr'] == pytest.approx(lr if tower else 10 * lr), key
        vector = key.endswith(('bias', 'embedding', 'positions', 'alpha'))
        norm = any(part.startswith(('ln_', 'norm')) for part in key.split('.'))
        assert group['weight_decay'] == (0 if vector or norm else 1e-3), key
    decayed = [key for key, group in groups.items() if group['weight_decay']]
    assert {'backbone.messages.0.fc.weight', 'backbone.context.proj.weight'} <= set(decayed)
    assert {'backbone', 'neck', 'cls_head'} == {key.split('.')[0] for key in groups}


@pytest.mark.parametrize('name', ['k400_b16', 'k400_b16_32f', 'few_shot/ucf101_b16_32f_2shot'])
def test_rates_rise_and_fall_once(name: str) -> None:
    cfg = load(f'xclip/{name}')
    lr = cfg.optim_wrapper.optimizer.lr
    groups = [dict(params=[torch.nn.Parameter(torch.zeros(1))], lr=x) for x in (lr, 10 * lr)]
    optimizer = torch.optim.SGD(groups, lr=lr)
    steps = 100  # of an epoch
    schedulers = [
        PARAM_SCHEDULERS.get(scheduler.pop('type')).build_iter_from_epoch(
            optimizer, epoch_length=steps, **scheduler
        )
        for scheduler in map(dict, deepcopy(cfg.param_scheduler))
        if scheduler.pop('convert_to_iter_based')
    ]
    rates = []
    for _ in range(cfg.train_cfg.max_epochs * steps):
        rates.append([group['lr'] for group in optimizer.param_groups])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    rates.append([group['lr'] for group in optimizer.param_groups])
    towers, new = np.array(rates).T
    np.testing.assert_allclose(towers[: 5 * steps], new[: 5 * steps] / 10)
    peak = int(towers.argmax())
    assert abs(peak - 5 * steps) <= 1
    assert towers[peak] == pytest.approx(lr)
    assert towers[0] > 0  # no step stands still
    assert (np.diff(towers[: peak + 1]) > 0).all() and (np.diff(towers[peak:]) <= 0).all()
    assert towers[-1] == pytest.approx(lr / 100, rel=0.05)
    assert new[-1] == pytest.approx(lr / 100, rel=0.05)  # one floor for both


@pytest.mark.parametrize('data', ['ucf101', 'hmdb51', 'k600'])
def test_zero_shot(data: str) -> None:
    cfg = load(f'xclip/zero_shot/{data}_b16_32f')
    splits = split_configs(cfg)
    assert len({split.test_dataloader.dataset.ann_file for split in splits.values()}) == 3
    assert 'kinetics400' in cfg.train_dataloader.dataset.ann_file
    for split in splits.values():
        assert 'kinetics400' not in str(split.test_dataloader)
        assert 'kinetics400' not in split.model.cls_head.class_names


@pytest.mark.parametrize('data', ['ucf101', 'hmdb51'])
@pytest.mark.parametrize('shots', [2, 4, 8, 16])
def test_few_shot(data: str, shots: int) -> None:
    cfg = load(f'xclip/few_shot/{data}_b16_32f_{shots}shot')
    # the list that tools/data/few_shot.py makes by default
    listed = f'data/{data}/few_shot/{data}_train_split_1_videos_{shots}shot_seed0.txt'
    assert cfg.train_dataloader.dataset.ann_file == listed
    for split in ('val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.ann_file == f'data/{data}/{data}_val_split_1_videos.txt'
    assert cfg.model.cls_head.class_names == f'data/{data}/label_map.txt'
    assert cfg.load_from is None  # from CLIP's weights
    assert cfg.default_hooks.checkpoint.save_best is None


# Of the ablations: what learns with 8e-6, and what with ten times that.
TUNED = {
    'k400_b16_one_view': (
        {'backbone.tower'},
        {'backbone.messages', 'backbone.context', 'neck.blocks', 'cls_head.prompting'},
    ),
    'k400_b16_tune_both': (
        {'backbone.tower', 'cls_head.texts', 'cls_head.logit_scale'},
        {'backbone.messages', 'backbone.context', 'neck.blocks', 'cls_head.prompting'},
    ),
    'k400_b16_tune_text': (
        {'cls_head.texts', 'cls_head.logit_scale'},
        {'backbone.messages', 'backbone.context', 'neck.blocks', 'cls_head.prompting'},
    ),
    'k400_b16_tune_none': (
        set(),
        {'backbone.messages', 'backbone.context', 'neck.blocks', 'cls_head.prompting'},
    ),
    'k400_b16_clip_mean': ({'backbone.tower'}, set()),
    'k400_b16_clip_one': ({'backbone.tower'}, set()),
    'k400_b16_cross_frame': ({'backbone.tower'}, {'backbone.messages'}),
    'k400_b16_multi_frame': ({'backbone.tower'}, {'backbone.messages', 'neck.blocks'}),
    'k400_b16_ensemble': ({'backbone.tower'}, {'backbone.messages', 'neck.blocks'}),
    'k400_b16_coop': (
        {'backbone.tower'},
        {'backbone.messages', 'neck.blocks', 'cls_head.texts'},
    ),
    'k400_b16_linear': (
        {'backbone.tower'},
        {'backbone.messages', 'neck.blocks', 'cls_head.fc_cls'},
    ),
    # Of the tower the layer into the joint space is new.
    'k400_b16_imagenet_21k': (
        {'backbone.tower.visual'},
        {
            'backbone.messages',
            'backbone.context',
            'backbone.tower.projection',
            'neck.blocks',
            'cls_head.prompting',
        },
    ),
}


@pytest.mark.parametrize('name', TUNED)
def test_what_the_ablations_tune(name: str, tmp_path: Path) -> None:
    groups = parameter_groups(f'xclip/ablations/{name}', tmp_path)
    by_rate: dict[float, set[str]] = {8e-6: set(), 8e-5: set()}
    for key, group in groups.items():
        depth = 3 if 'imagenet' in name and key.startswith('backbone.tower') else 2
        by_rate[round(group['lr'], 9)].add('.'.join(key.split('.')[:depth]))
    by_rate[8e-5].discard('neck.positions')
    assert (by_rate[8e-6], by_rate[8e-5]) == TUNED[name]


@pytest.mark.parametrize('path', [p for p in CONFIGS if 'xclip/ablations' in p])
def test_ablations_are_of_the_paper_s_views(path: str) -> None:
    cfg = Config.fromfile(PROJECT / path)
    crop = cfg.test_dataloader.dataset.pipeline[2].type
    assert crop == ('ThreeCrop' if 'views' in path else 'CenterCrop')
    assert cfg.train_cfg.max_epochs == (100 if 'scratch' in path else 30)


@pytest.mark.parametrize('frames', [8, 32])
@pytest.mark.parametrize('train', ['dense', 'sparse'])
@pytest.mark.parametrize('test', ['dense', 'sparse'])
def test_dense_and_sparse_sampling(frames: int, train: str, test: str) -> None:
    kind = train if train == test else f'{train}_{test}'
    tag = '_32f' if frames == 32 else ''
    both_sparse = 'sparse' if frames == 32 else 'one_view'
    stem = f'k400_b16{tag}_{both_sparse if kind == "sparse" else kind}'
    cfg = load(f'xclip/ablations/{stem}')
    assert cfg.model.neck.num_frames == frames
    for split, sampling in (('train', train), ('val', test), ('test', test)):
        cfg_sampler = cfg[f'{split}_dataloader'].dataset.pipeline[0].sampler
        assert cfg_sampler.get('test_mode', False) == (split != 'train')
        sampler = TRANSFORMS.build(cfg_sampler)
        results = dict(total_frames=300, avg_fps=30.0, start_index=0)
        steps = np.diff(sampler.transform(results)['frame_inds'])
        assert len(steps) == frames - 1
        assert (steps == 64 // frames).all() == (sampling == 'dense')


def test_templates_are_the_supplement_s() -> None:
    head = load('xclip/ablations/k400_b16_ensemble').model.cls_head
    assert head.sample_template
    assert len(head.templates) == len(set(head.templates)) == 15
    assert {'{}, this is an action', 'Can you recognize the action of {}'} <= set(head.templates)
    assert '{}' not in head.templates
    assert all(template.count('{}') == 1 for template in head.templates)
