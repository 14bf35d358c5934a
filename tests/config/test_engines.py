"""Strategies and runners that go together, and settings that go with them."""

from typing import Any
from unittest import mock

import pytest
from helpers.tiny_runs import stock_config
from mmengine.config import Config
from mmengine.runner import Runner

from mmstan.apis.load import build_runner
from mmstan.config import engines
from mmstan.config.engines import check_engine, drop_sharding

SHARDED = dict(runner_type='FlexibleRunner', strategy=dict(type='mmstan.FullyShard'))
BASE = 'configs/_base_/engines/fully_shard.py'


def test_the_shipped_engine() -> None:
    cfg = Config.fromfile(BASE)
    check_engine(cfg)
    drop_sharding(cfg)
    assert 'strategy' not in cfg and 'runner_type' not in cfg
    check_engine(cfg)


@pytest.mark.parametrize(
    'cfg',
    [
        dict(runner_type='FlexibleRunner'),
        dict(strategy=dict(type='mmstan.FullyShard')),
        dict(SHARDED, runner_type='Runner'),
    ],
)
def test_half_of_an_engine_is_refused(cfg: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="set both, runner_type='FlexibleRunner' and"):
        check_engine(Config(cfg))


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (dict(optim_wrapper=dict(type='AmpOptimWrapper')), 'float16 needs a loss scale'),
        (dict(optim_wrapper=dict(type='AmpOptimWrapper', dtype='float16')), '--amp bfloat16'),
        (dict(custom_hooks=[dict(type='EMAHook')]), 'EMAHook: .* remove it from custom_hooks'),
        (dict(sync_bn='torch'), 'sync_bn: .* set strategy.sync_bn'),
        (dict(compile=True), 'compile: .* does not compile'),
        (dict(find_unused_parameters=True), 'find_unused_parameters: .* a setting of DDP'),
        (dict(model_wrapper_cfg=dict(type='X')), 'model_wrapper_cfg: .* a setting of DDP'),
    ],
)
def test_what_sharding_cannot_do_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        check_engine(Config(dict(SHARDED, **changes)))
    assert '\n' not in str(error.value)


def test_what_sharding_can_do() -> None:
    half = dict(type='AmpOptimWrapper', dtype='bfloat16')
    check_engine(Config(dict(SHARDED, optim_wrapper=half)))
    check_engine(Config(dict(optim_wrapper=dict(type='AmpOptimWrapper'), compile=True)))


def test_untested_strategies_are_said() -> None:
    with mock.patch.object(engines, 'print_log') as log:
        check_engine(Config(dict(SHARDED, strategy=dict(type='DeepSpeedStrategy'))))
    assert 'strategy DeepSpeedStrategy is not tested here' in log.call_args.args[0]


def test_one_process_has_nothing_to_share(stock: Config) -> None:
    stock.update(SHARDED)
    assert type(build_runner(stock, sharded=True)) is Runner


@pytest.fixture
def stock(work_dir: Any) -> Config:
    return stock_config(work_dir)
