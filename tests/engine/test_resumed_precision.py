"""Runs that go on in another precision."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.resumed_run import make_config
from mmengine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import nn

from mmstan.engine.resumed_precision import fit_loss_scale

PRECISIONS = ('float32', 'float16', 'bfloat16')


def make_wrapper(precision: str) -> OptimWrapper:
    """A wrapper; without a GPU MMEngine's own has no loss scale, so it gets one of the CPU."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    if precision == 'float32':
        return OptimWrapper(optimizer)
    wrapper = AmpOptimWrapper(optimizer=optimizer, loss_scale=dict(enabled=False))
    wrapper.loss_scaler = torch.amp.GradScaler('cpu', enabled=precision == 'float16')
    return wrapper


@pytest.mark.parametrize('before', PRECISIONS)
@pytest.mark.parametrize('now', PRECISIONS)
def test_every_precision_goes_on_in_every_other(before: str, now: str) -> None:
    state, wrapper = make_wrapper(before).state_dict(), make_wrapper(now)
    said = fit_loss_scale(wrapper, state)
    wrapper.load_state_dict(state)  # stops at an empty state of a loss scale
    assert (said is None) is (before == now)
    if said:
        assert said.startswith('the checkpoint was trained in ')
        assert ('the loss scale begins' in said) is (now == 'float16')


def test_of_several_optimisers_each_is_fitted() -> None:
    old, new = (
        OptimWrapperDict(a=make_wrapper('float32'), b=make_wrapper(precision))
        for precision in ('bfloat16', 'float16')
    )
    state: dict[str, Any] = old.state_dict()
    assert '(bfloat16), this run goes on in' in str(fit_loss_scale(new, state))
    new.load_state_dict(state)


def test_a_resumed_run_says_it(tmp_path: Path) -> None:
    cfg = make_config(tmp_path, stop_at=4)
    with pytest.raises(KeyboardInterrupt):
        Runner.from_cfg(cfg).train()
    cfg = make_config(tmp_path, stop_at=4)
    cfg.resume, cfg.experiment_name = True, 'in_half'
    cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype='bfloat16')
    cfg.optim_wrapper.loss_scale = dict(enabled=False)
    with pytest.raises(KeyboardInterrupt):
        Runner.from_cfg(cfg).train()
    log = max(tmp_path.glob('*/*.log')).read_text()
    assert 'trained in full precision, this run goes on in mixed precision without' in log
