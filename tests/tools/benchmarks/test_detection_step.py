"""The two models whose training steps are compared."""

import argparse
from types import ModuleType

import pytest
import torch
from helpers.scripts import script
from mmengine.registry import DefaultScope


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return script('benchmarks/detection_step')


def test_both_have_one_backbone_and_train_it(tool: ModuleType) -> None:
    with DefaultScope.overwrite_default_scope('mmaction'):
        recognizer, detector = tool.build_models('STAN', None)
    assert recognizer.backbone.state_dict().keys() == detector.backbone.state_dict().keys()
    clip = torch.randn(2, 3, 2, 32, 32)
    samples = tool.make_samples(clip, boxes=3)
    for model in (recognizer, detector):
        before = {name: p.clone() for name, p in model.named_parameters()}
        tool.make_step(model, clip, samples)()
        changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
        assert {'backbone.tower.visual.conv1.weight'} < changed


def test_figures(tool: ModuleType) -> None:
    options = argparse.Namespace(
        tower=None, clips=1, frames=2, size=32, boxes=2, steps=1, device='cpu'
    )
    with DefaultScope.overwrite_default_scope('mmaction'):
        assert all(seconds > 0 for seconds in tool.measure('CLIP mean', options))
