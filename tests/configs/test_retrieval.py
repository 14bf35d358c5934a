"""The recipes of the retrieval configs: the papers' and the released ones, in a table."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.scripts import PROJECT
from helpers.shipped_configs import CONFIGS, parameter_groups
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

# configs/..., pairs of a step on 8 GPUs, learning rate, factor of what is new, weight decay, epochs
# (of warm-up), 1 / temperature, tokens, frames, short side in the test
RECIPES = [
    ('stan/msrvtt_b32', 128, 2e-6, 10, 0.05, 10, 1, 0.01, 32, 12, 224),
    ('stan/msrvtt_b16', 64, 1e-6, 10, 0.2, 10, 1, 0.02, 32, 12, 224),
    ('stan/msrvtt_l14', 128, 2e-6, 10, 0.05, 10, 1, 0.01, 32, 12, 224),
    ('stan/didemo_b32', 64, 2e-6, 10, 0.01, 20, 4, 0.05, 77, 64, 256),
    ('stan/didemo_b16', 64, 2e-6, 10, 0.01, 20, 4, 0.05, 77, 64, 256),
    ('stan/activitynet_b32', 64, 2e-6, 10, 0.01, 20, 4, 0.05, 77, 64, 256),
    ('stan/lsmdc_b32', 128, 1e-6, 10, 0.2, 10, 1, 0.01, 32, 12, 224),
    ('stan/lsmdc_b16', 128, 1e-6, 10, 0.2, 10, 1, 0.01, 32, 12, 224),
    ('stan/msvd_b16', 64, 1e-6, 10, 0.2, 10, 1, 0.02, 32, 12, 224),
    ('stan/vatex_b32', 128, 2e-6, 10, 0.05, 10, 1, 0.01, 32, 12, 224),
    ('mug_stan/msrvtt_b32', 128, 2e-6, 10, 0.02, 10, 1, 0.01, 32, 12, 224),
    ('mug_stan/msrvtt_b16', 64, 1e-6, 10, 0.2, 10, 1, 0.02, 32, 12, 224),
    ('mug_stan/didemo_b32', 64, 2e-6, 10, 0.01, 20, 4, 0.05, 77, 64, 256),
    ('mug_stan/lsmdc_b32', 128, 2e-6, 5, 0.1, 10, 1, 0.03, 32, 12, 224),
    ('mug_stan/lsmdc_b16', 128, 2e-6, 5, 0.1, 10, 1, 0.03, 32, 12, 224),
    # As the papers print it: one recipe for all data.
    ('stan/msrvtt_b32_paper', 128, 2e-6, 10, 0.02, 20, 2, 0.01, 32, 12, 224),
    ('stan/msrvtt_b16_paper', 128, 2e-6, 10, 0.02, 20, 2, 0.01, 32, 12, 224),
    ('stan/didemo_b16_conv_paper', 128, 2e-6, 10, 0.02, 20, 2, 0.01, 64, 64, 256),
    ('mug_stan/didemo_b32_paper', 128, 2e-6, 10, 0.02, 20, 2, 0.01, 64, 64, 256),
    ('mug_stan/lsmdc_l14_paper', 128, 2e-6, 10, 0.02, 20, 2, 0.01, 32, 12, 224),
    # Post-pretraining: the global batch is 1024, the warm-up half an epoch.
    ('baselines/clip_mean/pretrain/webvid10m_b32', 1024, 4e-6, 1, 0.001, 3, 0.5, 0.01, 64, 12, 224),
    ('stan/pretrain/webvid10m_b16', 1024, 4e-6, 10, 0.001, 3, 0.5, 0.01, 64, 12, 224),
    ('stan/pretrain/webvid10m_l14_336', 1024, 4e-6, 10, 0.001, 3, 0.5, 0.01, 64, 12, 336),
    ('mug_stan/pretrain/shards_b32', 1024, 4e-6, 10, 0.001, 3, 0.5, 0.01, 64, 12, 224),
    ('baselines/clip_mean/msrvtt_b32', 128, 1e-5, 1, 0.2, 5, 0.5, 0.01, 32, 12, 224),
]
RETRIEVAL = [
    path
    for path in CONFIGS
    if 'VideoTextModel' in (text := str(Config.fromfile(PROJECT / path))) and 'max_epochs' in text
]


@pytest.mark.parametrize('recipe', RECIPES, ids=[recipe[0] for recipe in RECIPES])
def test_recipes_of_retrieval(recipe: tuple[Any, ...], tmp_path: Path) -> None:
    name, pairs, lr, factor, decay, epochs, warmup, temperature, tokens, frames, side = recipe
    cfg = Config.fromfile(PROJECT / f'configs/{name}.py')
    assert cfg.auto_scale_lr.base_batch_size == 8 * cfg.train_dataloader.batch_size == pairs
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[-1].end == epochs
    assert cfg.param_scheduler[0].end == warmup
    assert cfg.model.head.scale == pytest.approx(1 / temperature)
    assert cfg.model.text_length == tokens
    for split in ('train', 'val', 'test'):
        pipeline = cfg[f'{split}_dataloader'].dataset.pipeline
        assert pipeline[0].sampler.num_frames == frames
        assert split == 'train' or pipeline[1].scale == (-1, side)
    groups = parameter_groups(name, tmp_path)
    assert {key.split('.')[0] for key in groups} >= {'backbone', 'text_tower'}
    for key, group in groups.items():
        new = key.startswith('backbone.branches.')
        assert group['lr'] == pytest.approx(lr * (factor if new else 1)), key
        assert group['weight_decay'] in (0, decay), key
    assert groups['text_tower.text.text_projection']['weight_decay'] == decay
    assert groups['text_tower.text.ln_final.weight']['weight_decay'] == 0


@pytest.mark.parametrize('path', RETRIEVAL)
def test_retrieval_rates_rise_and_fall_once(path: str) -> None:
    cfg = Config.fromfile(PROJECT / path)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    steps = 20  # of an epoch
    schedulers = [
        PARAM_SCHEDULERS.get(scheduler.pop('type')).build_iter_from_epoch(
            optimizer, epoch_length=steps, **scheduler
        )
        for scheduler in map(dict, deepcopy(cfg.param_scheduler))
        if scheduler.pop('convert_to_iter_based')
    ]
    rates = []
    for _ in range(cfg.train_cfg.max_epochs * steps):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert max(rates) == pytest.approx(1, rel=0.01)
    assert peak <= 0.2 * len(rates)
    assert rates[0] <= 0.05 and rates[-1] < 0.001


@pytest.mark.parametrize('path', RETRIEVAL)
def test_retrieval_is_scored_by_the_model(path: str) -> None:
    cfg = Config.fromfile(PROJECT / path)
    assert cfg.val_cfg.type == 'mmstan.RetrievalValLoop'
    assert cfg.test_cfg.type == 'mmstan.RetrievalTestLoop'
    assert cfg.val_evaluator.type == cfg.test_evaluator.type == 'mmstan.RetrievalMetric'
    checkpoint = cfg.default_hooks.checkpoint
    assert checkpoint.save_best is None or checkpoint.rule == 'greater'
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        pack = dataset.pipeline[-1]
        assert {'captions', 'frame_mask'} <= set(pack.algorithm_keys)
        assert {'video_id', 'filename'} <= set(pack.meta_keys)
        assert dataset.get('test_mode', False) == (split != 'train')


PRINTED = [path for path in CONFIGS if re.fullmatch(r'configs/(mug_)?stan/\w+_paper.py', path)]
RECIPE = ('optim_wrapper', 'param_scheduler', 'train_cfg', 'auto_scale_lr')


@pytest.mark.parametrize('path', [x for x in PRINTED if x.replace('_paper', '') in CONFIGS])
def test_printed_and_released_recipes_are_of_the_same_model(path: str) -> None:
    printed, other = (Config.fromfile(PROJECT / x) for x in (path, path.replace('_paper', '')))
    assert any(printed[key] != other[key] for key in RECIPE)
    assert printed.model.backbone == other.model.backbone
    assert printed.test_dataloader == other.test_dataloader
    header = (PROJECT / path).read_text().partition('_base_')[0]
    assert 'print' in header  # says which recipe it is


def test_clip4clip_trains_what_is_behind_the_embeddings(tmp_path: Path) -> None:
    groups = parameter_groups('baselines/clip_mean/msrvtt_b32', tmp_path)
    trained = {id(p): p.numel() for group in groups.values() for p in group['params']}
    assert sum(trained.values()) / 1e6 == pytest.approx(123.5, abs=0.05)
    assert 'head.logit_scale' in groups
    assert not [key for key in groups if 'embedding' in key or 'conv1' in key or 'ln_pre' in key]


def test_new_interactions_learn_as_fast_as_the_branch(tmp_path: Path) -> None:
    groups = parameter_groups('mug_stan/ablations/msrvtt_b32_wti', tmp_path)
    rates = {group['lr'] for key, group in groups.items() if key.startswith('head.interaction.')}
    assert rates == {groups['backbone.branches.0.time_embedding']['lr']}
