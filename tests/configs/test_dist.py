"""What the configs of DiST promise: recipe, frames, flips, and tiny forms that learn."""

from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.scripts import PROJECT
from helpers.shipped_configs import assert_learns, load, parameter_groups
from mmaction.registry import DATASETS, MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope

from mmstan.config.tiny import make_tiny

NAMES = sorted(
    str(path.relative_to(PROJECT / 'configs'))
    for path in (PROJECT / 'configs/dist').rglob('*.py')
    if 'ava' not in path.name  # detection, see test_detection.py
)
MIRRORED = {86: 87, 87: 86, 93: 94, 94: 93, 166: 167, 167: 166}


def sampler(cfg: Config, split: str) -> dict[str, Any]:
    found = cfg[f'{split}_dataloader'].dataset.pipeline[0].sampler
    return found.get('sampler', found)


# --- frames and sizes ---


@pytest.mark.parametrize('name', NAMES)
def test_the_clip_has_gamma_frames_for_each_of_the_tower(name: str) -> None:
    cfg = load(name)
    backbone = cfg.model.backbone
    if '_8f' in name or 'ek100' in name:
        assert backbone.num_frames == 8
    elif '16f' in name or '32f' in name:
        assert backbone.num_frames == (16 if '16f' in name else 32)
    assert backbone.gamma == int(name.split('gamma_')[1][0]) if 'gamma' in name else 2
    for split in ('train', 'val', 'test'):
        assert sampler(cfg, split).num_frames == backbone.gamma * backbone.num_frames
        assert sampler(cfg, split).get('test_mode', False) == (split != 'train')
    views = 1 if 'zero_shot' in name else 3
    assert sampler(cfg, 'test').get('num_clips', 1) == views
    assert sampler(cfg, 'val').get('num_clips', 1) == 1
    assert backbone.tower.frozen and cfg.model.neck is None


@pytest.mark.parametrize('name', [name for name in NAMES if 'ablations' not in name])
def test_towers_and_crops(name: str) -> None:
    cfg = load(name)
    size = 336 if '_336' in name else 224
    model = 'ViT-L-14-336' if '_336' in name else 'ViT-L-14' if 'l14' in name else 'ViT-B-16'
    head = cfg.model.cls_head
    texts = [head.verb, head.noun] if 'ek100' in name else [head]
    assert {part.text_tower.model for part in texts} == {cfg.model.backbone.tower.model} == {model}
    train = cfg.train_dataloader.dataset.pipeline
    assert train[1] == dict(type='RandomResizedCrop', area_range=(0.4, 1.0))
    assert tuple(train[2].scale) == (size, size)
    for split in ('val', 'test'):
        pipeline = cfg[f'{split}_dataloader'].dataset.pipeline
        assert tuple(pipeline[1].scale) == (-1, size)
        assert pipeline[2] == dict(type='CenterCrop', crop_size=size)
    expected = 2 if {'ssv2', 'ek100'} & set(Path(name).stem.split('_')) else 4
    assert cfg.model.backbone.pooling_layers == expected


@pytest.mark.parametrize('name', [name for name in NAMES if 'ek100' not in name])
def test_labels_are_mixed_among_all_classes(name: str) -> None:
    cfg = load(name)
    classes = 174 if 'ssv2' in name else 710 if 'k710' in name else 400
    augments = cfg.model.data_preprocessor.blending.augments
    assert [augment.num_classes for augment in augments] == [classes, classes]
    assert [augment.alpha for augment in augments] == [0.8, 1.0]
    assert cfg.model.cls_head.label_smooth_eps == 0.1


# --- optimiser and schedule ---


@pytest.mark.parametrize('name', ['dist/k400_b16_8f', 'dist/ablations/ssv2_b16_8f_tadaconv'])
def test_only_the_branch_learns(name: str, tmp_path: Path) -> None:
    groups = parameter_groups(name, tmp_path)
    assert all(key.startswith('backbone.branch.') for key in groups)
    assert {group['lr'] for group in groups.values()} == {3.2e-4}
    assert {group['weight_decay'] for group in groups.values()} == {0.0, 1e-4}
    for key, group in groups.items():
        flat = group['params'][0].ndim == 1
        table = key.endswith(('.embedding', '_token'))  # of times, and class tokens
        assert (group['weight_decay'] == 0) == (flat or table), key
    last = 'backbone.branch.layers.11.to_temporal.'
    assert not any(key.startswith(last) for key in groups)
    assert any(key.startswith(last.replace('11', '10')) for key in groups)


def test_schedule() -> None:
    """From 8e-7 up to the cosine over all 36 epochs, which is met where the warm-up ends."""
    cfg = load('dist/k400_b16_8f.py')
    length, weight = 20, torch.nn.Linear(1, 1)
    cfg.optim_wrapper.paramwise_cfg = dict(rules=[dict(match='')])
    optimizer = build_optim_wrapper(weight, cfg.optim_wrapper).optimizer
    schedulers = []
    for scheduler in cfg.param_scheduler:
        arguments = dict(scheduler)
        kind = PARAM_SCHEDULERS.get(arguments.pop('type'))
        assert arguments.pop('convert_to_iter_based')
        schedulers.append(kind.build_iter_from_epoch(optimizer, epoch_length=length, **arguments))
    rates = []
    for _ in range(36 * length):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    epochs = np.arange(36 * length) / length
    cosine = 3.2e-4 * (1 + np.cos(pi * epochs / 36)) / 2
    np.testing.assert_allclose(rates[6 * length :], cosine[6 * length :], rtol=1e-6)
    assert rates[0] == pytest.approx(8e-7)
    end = 3.2e-4 * (1 + cos(pi / 6)) / 2  # 2.986e-4
    released = 8e-7 + (end - 8e-7) * epochs / 6
    ratio = np.array(rates[: 6 * length]) / released[: 6 * length]
    assert ratio.min() > 1 - 1e-9 and ratio.max() < 1.08


# --- flips ---


@pytest.mark.parametrize('name', ['dist/ssv2_b16_8f.py', 'dist/ssv2_l14_32f.py'])
@pytest.mark.parametrize('label', [85, 86, 87, 88, 93, 94, 166, 167, 0, 173])
def test_flipped_videos_have_the_mirrored_label(
    name: str,
    label: int,
    shapes: Path,
) -> None:
    cfg = load(name)
    dataset = cfg.train_dataloader.dataset
    flip = next(step for step in dataset.pipeline if step.type == 'Flip')
    assert flip.flip_ratio == 0.5
    steps = [step for step in dataset.pipeline if step.type in ('mmstan.ReadFrames', 'Flip')]
    video = dict(filename=str(shapes / 'tiny/recognition/train/000000.mp4'), modality='RGB')
    seen = {}
    for ratio in (0.0, 1.0):
        flip.flip_ratio = ratio
        pipeline = Compose([TRANSFORMS.build(step) for step in steps])
        np.random.seed(0)  # the same frames
        results = pipeline(dict(video, label=label, start_index=0))
        seen[ratio] = np.stack(results['imgs']), results['label']
    np.testing.assert_array_equal(seen[1.0][0], seen[0.0][0][:, :, ::-1])
    assert seen[0.0][1] == label
    assert seen[1.0][1] == MIRRORED.get(label, label)


def test_mirrored_labels_reach_the_model(shapes: Path) -> None:
    """Through the data set: both labels of a pair are seen, each with its frames."""
    cfg = make_tiny(load('dist/ssv2_b16_8f.py'), data=shapes)
    cfg.train_dataloader.dataset.pipeline[3].flip_label_map = {0: 7, 7: 0}
    data = DATASETS.build(cfg.train_dataloader.dataset)
    data.set_epoch(0, seed=0)
    seen = {(i % 8, int(data[i]['data_samples'].gt_label)) for i in range(len(data))}
    assert seen == {(i, i) for i in range(8)} | {(0, 7), (7, 0)}


def test_other_data_sets_keep_their_labels() -> None:
    for name in ('dist/k400_b16_8f.py', 'dist/ek100_b16.py'):
        pipeline = load(name).train_dataloader.dataset.pipeline
        assert [step for step in pipeline if step.type == 'Flip'] == [
            dict(type='Flip', flip_ratio=0.5)
        ]


# --- tiny forms ---


@pytest.mark.parametrize(
    'name',
    ['ssv2_b16_8f', 'ek100_b16', 'ablations/ssv2_b16_8f_clip_only'],
)
def test_gradients_reach_every_trainable_parameter(
    name: str,
    shapes: Path,
) -> None:
    assert_learns(make_tiny(load(f'dist/{name}.py'), data=shapes))


@torch.no_grad()
def test_epic_kitchens_is_tested(shapes: Path) -> None:
    cfg = make_tiny(load('dist/ek100_b16.py'), data=shapes)
    data = DATASETS.build(cfg.test_dataloader.dataset)
    model = MODELS.build(cfg.model).eval()
    batch = pseudo_collate([data[i] for i in range(2)])
    assert batch['inputs'][0].shape[:3] == (3, 3, 16)  # views
    found = model.test_step(batch)
    for i, sample in enumerate(found):
        assert sample.pred_score.shape == (8, 8)
        assert sample.pred_score.sum() == pytest.approx(1, abs=1e-4)
        assert sample.gt_label.tolist() == [i, i]


@torch.no_grad()
def test_zero_shot_scores_can_be_fused(shapes: Path) -> None:
    """With the options that the config names."""
    path = PROJECT / 'configs/dist/zero_shot/hmdb51_b16_32f.py'
    line = next(line for line in path.read_text().splitlines() if '--cfg-options' in line)
    options = dict(pair.split('=') for pair in line.split('--cfg-options ')[1].split())
    init_default_scope('mmaction')
    scores = []
    for changes in ({}, {**options, 'model.backbone.frame_features': True}):
        cfg = load('dist/zero_shot/hmdb51_b16_32f.py')
        cfg.merge_from_dict(changes)
        cfg = make_tiny(cfg, data=shapes)
        torch.manual_seed(0)
        model = MODELS.build(cfg.model).eval()
        data = DATASETS.build(cfg.test_dataloader.dataset)
        (sample,) = model.test_step(pseudo_collate([data[0]]))
        scores.append(sample.pred_score)
    assert scores[0].shape == scores[1].shape == (8,)
    assert not torch.allclose(scores[0], scores[1])
