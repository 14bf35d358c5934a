"""Configs of action detection: the recipe in a table, who learns how fast, tiny forms."""

from pathlib import Path
from typing import Any

import pytest
from helpers.scripts import PROJECT
from helpers.shipped_configs import CONFIGS, assert_learns, load, on_meta, parameter_groups
from mmaction.registry import TRANSFORMS
from mmengine.config import Config

from mmstan.config.tiny import make_tiny

# configs/..., rate of the slowest group, factor of the head, clip's frames, backbone
RECIPES = [
    ('baselines/clip_mean/ava_b16', 8e-6, 10, 8, 'mmstan.FrameEncoder'),
    ('stan/ava_b16', 8e-6, 10, 8, 'mmstan.STAN'),
    ('mug_stan/ava_b16', 8e-6, 10, 8, 'mmstan.STAN'),
    ('xclip/ava_b16', 8e-6, 10, 8, 'mmstan.XCLIP'),
    ('dist/ava_b16_8f', 3.2e-4, 1, 16, 'mmstan.DiST'),
]
ABLATIONS = {
    'span_64': ('train_dataloader.dataset.pipeline', 0, 'sampler', 'seconds'),
    'temporal_max': ('model.roi_head', 'temporal_pool'),
    'person_score': ('model.roi_head', 'person_score'),
    'focal': ('model.roi_head.bbox_head', 'focal_gamma'),
}


def test_all_are_here() -> None:
    found = {Path(name).relative_to('configs').with_suffix('').as_posix() for name in CONFIGS}
    found = {name for name in found if '/ava_' in name}
    ablations = {f'stan/ablations/ava_b16_{name}' for name in ABLATIONS}
    assert found == {recipe[0] for recipe in RECIPES} | ablations


@pytest.mark.parametrize('recipe', RECIPES, ids=[recipe[0] for recipe in RECIPES])
def test_recipes(recipe: tuple[Any, ...], tmp_path: Path) -> None:
    name, rate, factor, frames, backbone = recipe
    cfg = load(f'{name}.py')
    assert cfg.model.backbone.type == backbone
    assert 8 * cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 128
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[-1].end == 20
    assert cfg.param_scheduler[0].end == cfg.param_scheduler[1].begin == 2
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.betas, optimizer.weight_decay) == (rate, (0.9, 0.98), 0.02)
    assert cfg.optim_wrapper.clip_grad.max_norm == 5
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.type == 'mmstan.AVADataset' and dataset.person_det_score_thr == 0.9
        sampler = dataset.pipeline[0].sampler
        assert (sampler.num_frames, sampler.seconds) == (frames, 10)
        assert sampler.get('test_mode', False) == dataset.get('test_mode', False)
        assert sampler.get('test_mode', False) == (split != 'train')
    assert cfg.load_from.startswith(f'work_dirs/{Path(name).parent}/')
    groups = parameter_groups(name, tmp_path)
    rates = {key: group['lr'] for key, group in groups.items()}
    assert {rates[key] for key in rates if key.startswith('roi_head.')} == {rate * factor}
    for key in rates:
        of_tower = key.startswith('backbone.tower.')
        assert rates[key] == pytest.approx(rate * (1 if of_tower else factor)), key
    assert any(key.startswith('backbone.tower.') for key in rates) == (backbone != 'mmstan.DiST')


@pytest.mark.parametrize('name', ABLATIONS)
def test_ablations_change_one_thing(name: str) -> None:
    whole, changed = load('stan/ava_b16.py'), load(f'stan/ablations/ava_b16_{name}.py')
    place, *keys = ABLATIONS[name]

    def read(cfg: Config) -> Any:
        node: Any = cfg
        for key in [*place.split('.'), *keys]:
            node = node.get(key) if isinstance(node, dict) else node[key]
        return node

    assert read(whole) != read(changed)
    assert whole.optim_wrapper == changed.optim_wrapper
    seconds = [cfg.test_dataloader.dataset.pipeline[0].sampler.seconds for cfg in (whole, changed)]
    assert seconds == [10, pytest.approx(64 / 30) if name == 'span_64' else 10]


def test_frames_around_the_key_frame() -> None:
    """300 frames of a film of 30 a second, the key frame among them (Mug-STAN); 64 (SlowFast)."""
    for name, step in (('ava_b16', 37.5), ('ablations/ava_b16_span_64', 8)):
        sampler = TRANSFORMS.build(
            load(f'stan/{name}.py').test_dataloader.dataset.pipeline[0].sampler
        )
        place = dict(timestamp=1000, timestamp_start=900, total_frames=27030, avg_fps=30.0)
        chosen = sampler.transform(place)['frame_inds']
        assert chosen.tolist() == [int(3000 + (k - 4) * step + 0.5) for k in range(8)]


def test_all_actions_are_learned_and_sixty_tested() -> None:
    cfg = load('stan/ava_b16.py')
    assert cfg.model.roi_head.bbox_head.num_classes == 81
    assert 'for_activitynet_2019' in cfg.test_evaluator.label_file
    assert 'excluded' in cfg.test_evaluator.exclude_file
    on_meta(cfg.model)


@pytest.mark.parametrize('name', [recipe[0] for recipe in RECIPES if 'mug' not in recipe[0]])
def test_gradients_reach_every_trainable_parameter(name: str, shapes: Path) -> None:
    """In small crops, which are 16 times as fast."""
    cfg = make_tiny(load(f'{name}.py'), data=shapes)
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline[1].scale_range, pipeline[2].size = (64, 80), 64
    # The class tokens that DiST's branch gets do not change the patches; their gradient is 0.
    assert_learns(cfg, no_effect=r'backbone\.branch\.layers\.\d+\.to_integration\.class_tokens\..*')


def test_the_quickstart_has_an_odd_number_of_frames() -> None:
    for system in ('clip_mean', 'stan'):
        cfg = Config.fromfile(PROJECT / f'configs/quickstart/detection_{system}.py')
        for split in ('train', 'test'):
            sampler = cfg[f'{split}_dataloader'].dataset.pipeline[0].sampler
            assert (sampler.num_frames, sampler.seconds) == (7, 1.75)
