"""Configs of ST-Adapter, EVL, space-time attention and patches over frames: what learns, how."""

from pathlib import Path

import pytest
from helpers.scripts import PROJECT
from helpers.shipped_configs import assert_learns, parameter_groups
from mmaction.registry import TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from mmstan.config.tiny import make_tiny

NAMES = [
    f'{path.parent.name}/{path.stem}'
    for system in ('st_adapter', 'evl', 'joint_space_time', 'divided_space_time', 'patch_3d')
    for path in sorted((PROJECT / f'configs/baselines/{system}').glob('*_b[13][62].py'))
]
# Millions of parameters that learn, heads included: the adapters of all blocks but the last one's
# before the MLP, and 400 or 174 classes.
LEARNED = {
    'st_adapter/k400_b16': (11 * 592_512 + 400 * 769, 1e-3, 12, 256),
    'st_adapter/ssv2_b16': (23 * 592_512 + 174 * 769, 1e-3, 50, 256),
    'st_adapter/ek100_b16': (23 * 592_512 + (97 + 300) * 769, 1e-3, 12, 256),
    'evl/k400_b16': (33_183_376, 4e-4, 53, 256),
    'evl/ssv2_b16': (3 * (32_875_776 - 2_304) + 2_304 + 174 * 769, 4e-4, 53, 256),  # 12 layers
}


def load(name: str) -> Config:
    cfg = Config.fromfile(PROJECT / f'configs/baselines/{name}.py')
    init_default_scope(cfg.default_scope)
    return cfg


def test_all_are_here() -> None:
    assert len(NAMES) == 15 and set(LEARNED) < set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_gradients_reach_every_trainable_parameter(name: str, shapes: Path) -> None:
    assert_learns(make_tiny(load(name), data=shapes))


@pytest.mark.parametrize('name', LEARNED)
def test_frozen_towers(name: str, tmp_path) -> None:
    parameters, lr, epochs, clips = LEARNED[name]
    groups = parameter_groups(f'baselines/{name}', tmp_path)
    assert not [key for key in groups if key.startswith('backbone.tower.')]
    sizes = {id(p): p.numel() for group in groups.values() for p in group['params']}
    assert sum(sizes.values()) == parameters
    assert {group['lr'] for group in groups.values()} == {lr}
    cfg = load(name)
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[-1].end == epochs
    assert 8 * cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == clips


@pytest.mark.parametrize(
    ('name', 'new'),
    [
        ('st_adapter/msrvtt_b32', 'backbone.adapters.'),
        ('joint_space_time/k400_b16', 'backbone.time_embedding'),
        ('joint_space_time/msrvtt_b32', 'backbone.time_embedding'),
        ('divided_space_time/k400_b16', ('backbone.time_embedding', 'backbone.temporal.')),
        ('divided_space_time/msrvtt_b32', ('backbone.time_embedding', 'backbone.temporal.')),
        ('patch_3d/k400_b16', ('backbone.before.', 'backbone.after.')),
    ],
)
def test_what_is_new_learns_ten_times_faster(name: str, new: str | tuple, tmp_path) -> None:
    groups = parameter_groups(f'baselines/{name}', tmp_path)
    base = groups['backbone.tower.visual.conv1.weight']['lr']
    for key, group in groups.items():
        assert group['lr'] == pytest.approx(base * (10 if key.startswith(new) else 1)), key
    assert any(key.startswith(new) for key in groups)


def test_three_slices_of_the_patches_learn_in_clip4clips_recipe(tmp_path) -> None:
    groups = parameter_groups('baselines/patch_3d/msrvtt_b32', tmp_path)
    plain = parameter_groups('baselines/clip_mean/msrvtt_b32', tmp_path)
    slices = {'backbone.tower.visual.conv1.weight', 'backbone.before.weight'}
    assert groups.keys() - plain.keys() == slices | {'backbone.after.weight'}
    assert {group['lr'] for group in groups.values()} == {1e-5}


@pytest.mark.parametrize(
    ('name', 'clips', 'crops', 'interval'),
    [
        ('st_adapter/k400_b16', 3, 1, 16),
        ('evl/k400_b16', 3, 1, 16),
        ('st_adapter/ssv2_b16', 1, 3, None),
        ('divided_space_time/k400_vit_b16', 1, 3, 32),
        ('joint_space_time/k400_vit_b16', 1, 3, 32),
    ],
)
def test_views(name: str, clips: int, crops: int, interval: int | None) -> None:
    cfg = load(name)
    for split, views in (('train', (1, 1)), ('val', (1, 1)), ('test', (clips, crops))):
        pipeline = cfg[f'{split}_dataloader'].dataset.pipeline
        sampler = TRANSFORMS.build(pipeline[0].sampler)
        results = sampler(dict(total_frames=300, avg_fps=30.0, start_index=0))
        indices = results['frame_inds'].reshape(-1, 8)
        types = [step.type for step in pipeline]
        assert (len(indices), 3 if 'ThreeCrop' in types else 1) == views
        assert interval is None or set((indices[:, 1:] - indices[:, :-1]).flat) == {interval}
        assert ('Flip' in types) == (split == 'train' and 'ssv2' not in name)
        Compose([TRANSFORMS.build(step) for step in pipeline])
