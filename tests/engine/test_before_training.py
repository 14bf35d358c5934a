"""Runs from which nothing can be learned are refused before they begin, or said to be so."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from helpers.resumed_run import BATCHES, EPOCHS, SAMPLES, make_config
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.runner import Runner

from mmstan.engine import AlikeCaptions, FiniteTraining, before_training

WARM_UP = dict(type='LinearLR', start_factor=0.1, convert_to_iter_based=True)


def begin(cfg: Config) -> Runner:
    """Train for no iteration."""
    runner = Runner.from_cfg(cfg)
    with (
        mock.patch('mmstan.engine.EpochTrainLoop.run_epoch', side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        runner.train()
    return runner


def refused(cfg: Config) -> str:
    with pytest.raises(ValueError) as error:
        begin(cfg)
    assert '\n' not in str(error.value)
    return str(error.value)


def test_a_good_run_is_watched(work_dir: Path) -> None:
    hooks = [type(hook) for hook in begin(make_config(work_dir)).hooks]
    assert hooks.count(FiniteTraining) == hooks.count(AlikeCaptions) == 1


def test_hooks_of_a_config_are_not_registered_twice(work_dir: Path) -> None:
    cfg = make_config(work_dir)
    cfg.custom_hooks = [dict(type='mmstan.FiniteTraining')]
    hooks = [type(hook) for hook in begin(cfg).hooks]
    assert hooks.count(FiniteTraining) == 1


def test_an_epoch_without_iterations(work_dir: Path) -> None:
    cfg = make_config(work_dir)
    cfg.train_dataloader.update(batch_size=SAMPLES + 1, drop_last=True)
    message = refused(cfg)
    assert f'train_dataloader has {SAMPLES} samples; no batch of {SAMPLES + 1} is full' in message
    assert message.endswith('set drop_last=False')


@pytest.mark.parametrize('wrapped', [False, True])
def test_weights_of_a_mixture_that_the_sampler_does_not_read(wrapped: bool, work_dir: Path) -> None:
    cfg = make_config(work_dir)
    part = cfg.train_dataloader.dataset
    mixture = dict(type='mmstan.MixedClips', datasets=[part, part], weights=[1, 3])
    cfg.train_dataloader.dataset = mixture
    if wrapped:
        cfg.train_dataloader.dataset = dict(type='RepeatDataset', dataset=mixture, times=2)
        cfg.train_dataloader.sampler = dict(type='mmstan.ShardSampler')
    sampler = 'ShardSampler' if wrapped else 'DefaultSampler'
    message = refused(cfg)
    assert 'weights=[1.0, 3.0] of mmstan.MixedClips are read by mmstan.ShardSampler' in message
    assert f'train_dataloader.sampler is {sampler}' in message
    cfg.train_dataloader.dataset = mixture
    cfg.train_dataloader.sampler = dict(type='mmstan.ShardSampler')
    cfg.experiment_name = f'weights-{wrapped}'
    begin(cfg)


def test_nothing_to_train(work_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = make_config(work_dir)
    cfg.optim_wrapper.paramwise_cfg = dict(rules=[dict(match='', frozen=True)])
    assert 'no parameter is left to train' in refused(cfg)
    build = Runner.build_model

    def build_frozen(self: Runner, model: Any) -> Any:
        return build(self, model).requires_grad_(False)

    monkeypatch.setattr(Runner, 'build_model', build_frozen)
    cfg.experiment_name = 'frozen'
    assert 'Recognizer3D has no parameter to train: all are frozen' in refused(cfg)


@pytest.mark.parametrize(
    ('batch_size', 'processes', 'good'), [(1, 1, False), (1, 2, True), (2, 1, True)]
)
def test_a_contrastive_batch_of_one_pair(
    batch_size: int, processes: int, good: bool, work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(before_training, 'get_world_size', lambda: processes)
    monkeypatch.setattr(before_training, 'VideoTextModel', object)  # any model is one
    cfg = make_config(work_dir)
    cfg.train_dataloader.batch_size = batch_size
    if good:
        begin(cfg)
    else:
        assert 'train_dataloader.batch_size=1 on one process' in refused(cfg)


@pytest.mark.parametrize('contrastive', [True, False])
def test_accumulated_steps_add_no_negatives(
    contrastive: bool, work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if contrastive:
        monkeypatch.setattr(before_training, 'VideoTextModel', object)  # any model is one
    cfg = make_config(work_dir)
    cfg.optim_wrapper.accumulative_counts = 4
    cfg.experiment_name = f'accumulated-{contrastive}'
    begin(cfg)
    log = ''.join(file.read_text() for file in work_dir.glob('*/*.log'))
    said = 'accumulative_counts=4 adds no negatives' in log and 'set model.micro_batch' in log
    assert said == contrastive


@pytest.mark.parametrize(
    ('scheduler', 'reason'),
    [
        (dict(WARM_UP, end=0.1), 'from iteration 0 to 0 in epochs of 5 iterations'),
        (
            dict(WARM_UP, end=0.3),
            'from iteration 0 to 1 in epochs of 5 iterations and would leave ',
        ),
        (dict(type='LinearLR', end=1), 'from epoch 0 to 1 in epochs of 5 iterations and would lea'),
        (dict(type='LinearLR', end=1, by_epoch=False), 'from iteration 0 to 1'),
        (dict(type='CosineAnnealingLR', T_max=1, begin=1, end=1), 'from epoch 1 to 1'),
    ],
)
@pytest.mark.parametrize('several', [False, True])
def test_a_schedule_that_is_too_short(
    scheduler: dict[str, Any], reason: str, several: bool, work_dir: Path
) -> None:
    cfg = make_config(work_dir)
    cfg.param_scheduler = [dict(type='ConstantLR', factor=1), scheduler] if several else scheduler
    message = refused(cfg)
    name = 'param_scheduler.1' if several else 'param_scheduler'
    assert f'{name} ({scheduler["type"]}) is too short, {reason}' in message


def test_the_rate_of_a_warm_up_of_one_iteration_would_stay(work_dir: Path) -> None:
    """Why it is refused: this is MMEngine's."""
    cfg = make_config(work_dir)
    cfg.param_scheduler = dict(type='LinearLR', start_factor=0.1, end=1, by_epoch=False)
    with mock.patch('mmstan.engine.train_loop.check_before_training'):
        runner = Runner.from_cfg(cfg)
        runner.train()
    assert runner.optim_wrapper.get_lr()['base_lr'][0] == pytest.approx(0.1 * 0.01)


@pytest.mark.parametrize(
    ('scheduler', 'said'),
    [
        (dict(WARM_UP, end=EPOCHS), None),
        (dict(WARM_UP, end=EPOCHS + 1), f'until iteration 20, but training ends at {EPOCHS * 5}'),
        (dict(type='LinearLR', end=2), None),
        (dict(type='LinearLR', end=9), f'until epoch 9, but training ends at {EPOCHS}'),
        (dict(type='LinearLR', start_factor=1, end_factor=0.1, end=9), None),  # cools down
        (dict(type='LinearLR', end=2, by_epoch=False), None),
        (dict(type='ConstantLR', factor=0.5), None),
    ],
)
def test_a_warm_up_that_outlasts_training(
    scheduler: dict[str, Any], said: str | None, work_dir: Path
) -> None:
    cfg = make_config(work_dir)
    cfg.param_scheduler = scheduler
    begin(cfg)
    log = ''.join(file.read_text() for file in work_dir.glob('*/*.log'))
    assert ('is never reached' in log) == (said is not None)
    assert said is None or said in log


def batch(*captions: str) -> dict[str, Any]:
    samples = [ActionDataSample() for _ in captions]
    for sample, caption in zip(samples, captions):
        sample.captions = [caption]
    return dict(data_samples=samples)


@pytest.mark.parametrize(
    ('batches', 'warnings'),
    [
        ([batch('a', 'a', 'a'), batch('b', 'b')], ["epoch 1, batch 1: all 3 captions are 'a'"]),
        ([batch('a', 'b'), batch('b', 'b')], ["epoch 1, batch 2: all 2 captions are 'b'"]),
        ([batch('a'), batch('a', 'b')], []),
        ([dict(inputs=[]), dict(data_samples=[ActionDataSample(), ActionDataSample()])], []),
    ],
)
def test_captions_that_are_alike(batches: list[dict[str, Any]], warnings: list[str]) -> None:
    said: list[str] = []
    runner = SimpleNamespace(epoch=0, logger=SimpleNamespace(warning=said.append))
    hook = AlikeCaptions()
    for index, each in enumerate(batches):
        hook.before_train_iter(runner, index, each)
    assert [line.split(';')[0] for line in said] == warnings
    assert BATCHES == 5
