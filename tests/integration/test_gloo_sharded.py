"""Two processes that share a model's parameters learn what one learns, and resume to the digit.

One pair of processes does all of it (:func:`work`), since starting them costs more than the work.
"""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.every_backbone import BACKBONES, DIST, FROZEN, T
from helpers.gloo_processes import run_ranks
from helpers.retrieval_models import PREPROCESSOR, build, head
from helpers.scripts import script
from helpers.tiny_models import CLIP, COCA, TOWER, WORDS, token_ids
from mmaction.registry import DATASETS, HOOKS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import Tensor

from mmstan.apis.load import build_runner
from mmstan.compat.checkpoints import load_file
from mmstan.engine.fully_shard import FullyShard
from mmstan.engine.shard_checkpoints import join_folder
from mmstan.models import VideoTextModel

STAN = dict(type='mmstan.STAN', levels=(3, 4), drop_path=0.0)
MUG = dict(type='mmstan.Mug', sharpness=5.0)
WEIGHTED = dict(type='mmstan.WeightedTokenWise', dim=16)
COCA_TOWER = dict(type='mmstan.ImageTower', model=COCA)
ENCODERS = [name for name in BACKBONES if name not in ('xclip', 'evl') and 'halves' not in name]
CASES: dict[str, dict[str, Any]] = {
    **{name: dict(backbone=BACKBONES[name]) for name in ENCODERS},
    'dist': dict(backbone=dict(DIST, tower=FROZEN)),
    'frozen tower': dict(backbone=dict(STAN, tower=FROZEN)),
    'coca': dict(
        backbone=dict(STAN, tower=COCA_TOWER), text_tower=dict(type='mmstan.TextTower', model=COCA)
    ),
    'video tokens': dict(backbone=STAN, head=head(dict(MUG, video='tokens'))),
    'micro batches': dict(backbone=STAN, micro_batch=1),
    'micro batches of recomputed blocks': dict(
        backbone=dict(STAN, checkpointing=True), micro_batch=1
    ),
    # The scale is bounded from the first step on.
    'learned scale': dict(
        backbone=STAN, head=head(WEIGHTED, scale=7.0, trainable_scale=True, max_scale=7.001)
    ),
}
# The others are slow: all of them take half a minute of each of two cores.
FIRST = ('learned scale', 'dist', 'micro batches of recomputed blocks', 'stan')
STEPS, PAIRS = 4, 4


def wrapper_cfg(name: str) -> dict[str, Any]:
    """The config of the optimiser.

    Adam's eps is large: at 1e-8 it turns rounding noise into whole steps. A layer whose result is
    not read gets gradients of 0 when it is sharded and none otherwise, so weight decay tells them
    apart: STAN without intra-frame modules has such a layer.
    """
    decay = 0.0 if 'cross-frame modules' in name else 0.05
    return dict(
        type='OptimWrapper',
        constructor='mmstan.ParamGroups',
        optimizer=dict(type='AdamW', lr=1e-3, eps=1e-3, weight_decay=decay, fused=True),
        paramwise_cfg=dict(rules=[dict(match='')]),
        clip_grad=dict(max_norm=1.0),
    )


def make_model(name: str, *, seed: int = 0) -> VideoTextModel:
    cfg = dict(CASES[name], data_preprocessor=None)
    backbone = dict(cfg['backbone'])
    backbone.setdefault('tower', TOWER)
    if backbone['type'] == 'mmstan.STAN':
        backbone['drop_path'] = 0.0
    cfg['backbone'] = backbone
    model = build(CLIP, **cfg)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    return model


def train(name: str, model: Any, wrapper: Any, *, rank: int = 0, world: int = 1) -> list[float]:
    """A few steps; returns the norms of the gradients."""
    norms = []
    for step in range(STEPS):
        torch.manual_seed(step)
        imgs = torch.randn(PAIRS, 1, 3, T, 32, 32)
        length = 12 if name == 'coca' else 8  # CoCa reads its whole context
        ids = token_ids([3 + i for i in range(PAIRS)], context_length=length)
        inputs = dict(imgs=imgs[rank::world], text=ids[rank::world])
        model.train().train_step(dict(inputs=inputs), wrapper)
        norms.append(float(wrapper.message_hub.get_scalar('train/grad_norm').current()))
    return norms


# --- runs through FlexibleRunner ---


@DATASETS.register_module(force=True)
class TwelvePairs(torch.utils.data.Dataset):
    metainfo: dict[str, Any] = {}

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        clip = torch.randint(256, (1, 3, 3, 32, 32), dtype=torch.uint8, generator=generator)
        sample = ActionDataSample(metainfo=dict(video_id=str(index)))
        sample.captions = [f'video number {index}']
        return dict(inputs=clip, data_samples=sample)


@HOOKS.register_module(force=True)
class KeepScores(Hook):
    """Writes the scores of every validation."""

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        if is_main_process():
            torch.save(metrics, Path(runner.work_dir, f'scores_{runner.iter}.pth'))


def run_cfg(folder: Path, *, strategy: dict[str, Any] | None = None, **changes: Any) -> Config:
    """Three iterations with random numbers in the model, and a checkpoint after each."""
    model = dict(
        type='mmstan.VideoTextModel',
        backbone=dict(STAN, tower=TOWER, drop_path=0.3),
        text_tower=dict(type='mmstan.TextTower', model=WORDS),
        head=head(WEIGHTED, scale=9.0, trainable_scale=True),
        micro_batch=1,
        text_length=8,
        data_preprocessor=PREPROCESSOR,
    )
    loader = dict(num_workers=0, dataset=dict(type='TwelvePairs'))
    cfg = dict(
        default_scope='mmaction',
        model=model,
        train_dataloader=dict(
            loader, batch_size=2, sampler=dict(type='DefaultSampler', shuffle=True)
        ),
        val_dataloader=dict(loader, batch_size=3, sampler=dict(type='DefaultSampler')),
        val_evaluator=dict(type='mmstan.RetrievalMetric'),
        train_cfg=dict(type='mmstan.EpochTrainLoop', max_epochs=1),
        val_cfg=dict(type='mmstan.RetrievalValLoop'),
        optim_wrapper=wrapper_cfg('whole'),
        param_scheduler=[dict(type='LinearLR', start_factor=0.1, end=3, by_epoch=False)],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1)),
        custom_hooks=[
            dict(type=kind) for kind in ('mmstan.SaveRNG', 'mmstan.PrepareResume', 'KeepScores')
        ],
        randomness=dict(seed=0, diff_rank_seed=True),
        work_dir=str(folder),
        experiment_name=f'{folder.parent.name}-{folder.name}',
        launcher='none',
    )
    if strategy is not None:
        cfg.update(
            launcher='pytorch',
            runner_type='FlexibleRunner',
            strategy=dict(strategy, type='mmstan.FullyShard'),
            env_cfg=dict(dist_cfg=dict(backend='nccl')),  # gloo where there is no GPU
        )
    return Config(dict(cfg, **changes))


def work(folder: Path) -> None:
    """The part of each of two ranks."""
    strategy = train_cases(folder, *FIRST)
    load_plain_checkpoint(folder, strategy)
    for name, options in RUNS.items():
        build_runner(run_cfg(folder / name, **options(folder)), sharded=True).train()


def load_plain_checkpoint(folder: Path, strategy: FullyShard) -> None:
    """Load weights of a run that is not sharded, and be refused its optimiser."""
    strategy.load_checkpoint(str(folder / 'plain.pth'))
    weights = strategy.model_state_dict()
    with pytest.raises(ValueError, match='does not fit'):
        strategy.load_checkpoint(str(folder / 'part.pth'))
    strategy.allow_missing = ['text_tower.*']
    strategy.load_checkpoint(str(folder / 'part.pth'))
    partly = strategy.model_state_dict()
    if is_main_process():
        torch.save(weights, folder / 'loaded.pth')
        torch.save(partly, folder / 'partly.pth')
    with pytest.raises(ValueError, match='goes by number, so Runner wrote it'):
        strategy.load_optim_state_dict(dict(state={}, param_groups=[dict(params=[0])]))


def train_cases(folder: Path, *names: str) -> FullyShard:
    """The steps of some cases in each of two ranks."""
    init_default_scope('mmaction')
    rank, results = int(os.environ['RANK']), {}
    env = dict(launcher='pytorch', dist_cfg=dict(backend='gloo'))
    for name in names:
        place = dict(work_dir=str(folder / 'cases'), experiment_name=name, env_kwargs=env)
        strategy = FullyShard(**place)
        # Each rank has weights of its own until they are shared.
        strategy.prepare(make_model(name, seed=rank), optim_wrapper=wrapper_cfg(name))
        norms = train(name, strategy.model, strategy.optim_wrapper, rank=rank, world=2)
        results[name] = norms, strategy.model_state_dict()
    if rank == 0:
        torch.save(results, folder / 'results.pth')
    return strategy


RUNS: dict[str, Any] = {
    'whole': lambda _: dict(strategy=dict(reshard=False)),
    'resumed': lambda folder: dict(
        strategy={}, resume=True, load_from=str(folder / 'whole/iter_1.pth')
    ),
    'parts': lambda _: dict(strategy=dict(sharded=True)),
    'resumed_parts': lambda folder: dict(
        strategy=dict(sharded=True), resume=True, load_from=str(folder / 'parts/iter_1.pth')
    ),
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('sharded')
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    plain = make_model(FIRST[-1], seed=7).state_dict()
    torch.save(dict(state_dict=plain), folder / 'plain.pth')
    part = {name: x + 1 for name, x in plain.items() if not name.startswith('text_tower.')}
    torch.save(dict(state_dict=part), folder / 'part.pth')
    run_ranks(f'{__file__}:work', folder, timeout=600)
    torch.set_num_threads(threads)
    return folder


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor], *, atol: float = 0) -> None:
    assert ours.keys() == theirs.keys()
    for name, x in ours.items():
        assert x.shape == theirs[name].shape
        assert (x - theirs[name]).abs().max() <= atol, name


@pytest.mark.parametrize('name', FIRST)
def test_steps_equal_those_of_one_process(name: str, folder: Path) -> None:
    assert_steps_equal(name, folder)


@pytest.mark.slow
@pytest.mark.skipif('MMSTAN_SLOW' not in os.environ, reason='a minute of two cores: MMSTAN_SLOW=1')
def test_steps_of_every_backbone_equal_those_of_one_process(tmp_path: Path) -> None:
    others = [name for name in CASES if name not in FIRST]
    run_ranks(f'{__file__}:train_cases', tmp_path, *others, timeout=600)
    for name in others:
        assert_steps_equal(name, tmp_path)


def assert_steps_equal(name: str, folder: Path) -> None:
    init_default_scope('mmaction')
    norms, weights = torch.load(folder / 'results.pth')[name]
    model = make_model(name)
    model.init_weights()
    expected = train(name, model, build_optim_wrapper(model, wrapper_cfg(name)))
    assert norms == pytest.approx(expected, rel=1e-5)
    assert_equal(weights, model.state_dict(), atol=2e-6)


@pytest.mark.parametrize('resumed', ['resumed', 'parts', 'resumed_parts'])
def test_resumed_to_the_digit(resumed: str, folder: Path) -> None:
    """From whole checkpoints and from folders; also kept parameters equal freed ones."""
    whole = load_file(folder / 'whole/iter_3.pth')
    path = folder / resumed / 'iter_3.pth'
    other = join_folder(path) if path.is_dir() else load_file(path)
    assert_equal(other['state_dict'], whole['state_dict'])
    for name, state in whole['optimizer']['state'].items():
        assert_equal(other['optimizer']['state'][name], state)
    assert other['meta']['iter'] == whole['meta']['iter'] == 3
    assert other.keys() == whole.keys()


def test_its_checkpoint_is_any_runs(folder: Path) -> None:
    """It loads strictly into a model on one process, with the same retrieval scores."""
    runner = build_runner(run_cfg(folder / 'alone', load_from=str(folder / 'whole/iter_3.pth')))
    scores = runner.val()
    sharded = torch.load(folder / 'whole/scores_3.pth')
    assert {k: sharded[k] for k in scores} == pytest.approx(scores, abs=1e-6)
    checkpoint = load_file(folder / 'whole/iter_3.pth')
    assert checkpoint['state_dict']['head.logit_scale'].shape == ()


def test_it_loads_a_plain_checkpoint(folder: Path) -> None:
    assert_equal(torch.load(folder / 'loaded.pth'), load_file(folder / 'plain.pth')['state_dict'])


def test_it_begins_with_a_part_where_that_is_allowed(folder: Path) -> None:
    plain, part = (load_file(folder / name)['state_dict'] for name in ('plain.pth', 'part.pth'))
    assert 0 < len(part) < len(plain)
    assert_equal(torch.load(folder / 'partly.pth'), {**plain, **part})


def test_runner_says_that_it_cannot_resume_it(folder: Path) -> None:
    cfg = run_cfg(folder / 'other', resume=True, load_from=str(folder / 'whole/iter_1.pth'))
    with pytest.raises(ValueError, match='goes by parameter names: mmstan'):
        build_runner(cfg).train()


def test_joined_by_the_command(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [folder / 'parts/iter_3.pth', tmp_path / 'joined.pth']
    monkeypatch.setattr(sys, 'argv', ['join_checkpoint.py', *map(str, paths)])
    script('join_checkpoint').main()
    joined, whole = load_file(tmp_path / 'joined.pth'), load_file(folder / 'whole/iter_3.pth')
    assert_equal(joined['state_dict'], whole['state_dict'])
    with pytest.raises(ValueError, match='is no checkpoint of mmstan'):
        join_folder(tmp_path)
