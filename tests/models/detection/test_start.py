"""A training that starts from a recognizer's checkpoint, through MMEngine's runner."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.detection import CLASSES
from helpers.tiny_models import TOWER, shaken
from helpers.tiny_runs import stock_config
from mmengine.runner import Runner
from torch import Tensor

from mmstan.registry import MODELS

BACKBONE = dict(type='mmstan.STAN', tower=TOWER, levels=(3, 4))


@pytest.fixture
def state() -> dict[str, Tensor]:
    backbone = shaken(MODELS.build(BACKBONE))
    state = {f'backbone.{name}': x for name, x in backbone.state_dict().items()}
    return {**state, 'cls_head.texts.features': torch.ones(2), 'logit_scale': torch.ones(())}


def make_runner(folder: Path, state: dict[str, Tensor], **changes: Any) -> Runner:
    """One epoch of a tiny detector that starts from ``state``."""
    torch.save(dict(state_dict=state), folder / 'k400.pth')
    cfg = stock_config(folder / 'run', load_from=str(folder / 'k400.pth'), **changes)
    cfg.model = dict(
        type='mmstan.ActionDetector',
        backbone=BACKBONE,
        roi_head=dict(
            type='mmstan.ActionRoIHead',
            bbox_head=dict(type='mmstan.ActionHead', num_classes=CLASSES),
        ),
        data_preprocessor=cfg.model.data_preprocessor,
    )
    cfg.train_dataloader.dataset = dict(type='RandomKeyframes')
    for split in ('val', 'test'):
        for part in ('dataloader', 'evaluator', 'cfg'):
            cfg[f'{split}_{part}'] = None
    return Runner.from_cfg(cfg)


def test_a_detector_trains_from_a_recognizers_checkpoint(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    runner = make_runner(tmp_path, state, **{'optim_wrapper.optimizer.lr': 0.0})
    runner.train()
    trained = runner.model.state_dict()
    assert all(torch.equal(trained[name], x) for name, x in state.items() if name in trained)
    (log,) = (tmp_path / 'run').rglob('*.log')
    said = [line for line in log.read_text().splitlines() if 'for its new task' in line]
    assert len(said) == 1
    assert '2 missing: roi_head.bbox_head.fc_cls.bias, roi_head.bbox_head.fc_cls.weight' in said[0]
    assert '2 left over: cls_head.texts.features, logit_scale' in said[0]


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (
            {'backbone.tower.visual.conv1.weight': None},
            r'1 missing: backbone\.tower\.visual\.conv1',
        ),
        ({'backbone.other': torch.ones(1)}, r'1 left over: backbone\.other'),
        # A detector's own checkpoint, of other classes.
        (
            {'roi_head.bbox_head.fc_cls.bias': torch.ones(81)},
            r'1 of another shape: roi_head\.bbox_head\.fc_cls\.bias \(81 for 6\)',
        ),
    ],
)
def test_every_tensor_of_the_backbone_must_fit(
    tmp_path: Path, state: dict[str, Tensor], changes: dict[str, Tensor | None], said: str
) -> None:
    state = {name: x for name, x in {**state, **changes}.items() if x is not None}
    with pytest.raises(ValueError, match=said):
        make_runner(tmp_path, state).train()
