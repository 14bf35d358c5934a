"""Backbones under MMEngine's EMAHook, which swaps weights without telling anyone."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.tiny_models import COCA_TOWER, TOWER, shaken
from mmaction.registry import MODELS
from mmengine.hooks import EMAHook

BACKBONES = {
    'frames': dict(type='mmstan.FrameEncoder', tower=TOWER),
    'stan': dict(type='mmstan.STAN', tower=TOWER, levels=(2, 3, 4)),
    'stan on coca': dict(type='mmstan.STAN', tower=COCA_TOWER, levels=(2, 3, 4)),
    'two stans': dict(type='mmstan.STAN', tower=TOWER, levels=(3, 4), networks=2),
}


@torch.no_grad()
@pytest.mark.parametrize('backbone', BACKBONES.values(), ids=BACKBONES)
def test_swapped_weights_are_used(backbone: dict[str, Any]) -> None:
    model = MODELS.build(backbone).eval()
    model.init_weights()
    clip = torch.randn(1, 3, 3, 32, 32)
    runner, hook = SimpleNamespace(model=model, epoch=0, iter=0), EMAHook(momentum=0.5)
    hook.before_run(runner)
    averaged = hook.ema_model.module.eval()
    own = model(clip)
    torch.testing.assert_close(averaged(clip), own)
    shaken(averaged)
    expected = averaged(clip)
    assert (expected - own).abs().max() > 1e-3
    hook.before_val_epoch(runner)
    torch.testing.assert_close(model(clip), expected)
    hook.after_val_epoch(runner)
    torch.testing.assert_close(model(clip), own)
