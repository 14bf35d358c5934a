"""The log says how many clips a second are trained on."""

import json
from pathlib import Path

import pytest
from helpers.resumed_run import BATCH, BATCHES, SAMPLES, make_config
from mmengine.runner import Runner


def test_clips_a_second(work_dir: Path) -> None:
    cfg = make_config(work_dir)
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.logger = dict(type='LoggerHook', interval=1)
    cfg.optim_wrapper.clip_grad = dict(max_norm=5)
    Runner.from_cfg(cfg).train()
    (file,) = work_dir.glob('*/vis_data/2*.json')
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines = [line for line in lines if 'clips_per_s' in line]
    assert len(lines) == BATCHES
    assert all(line['grad_norm'] > 0 for line in lines)
    for i, line in enumerate(lines, start=1):
        clips = min(BATCH, SAMPLES - BATCH * (i - 1))
        # `time` is the mean of the window, too; the log rounds neither.
        assert line['clips_per_s'] == pytest.approx(clips / line['time'], rel=1e-3)
