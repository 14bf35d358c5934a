from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.resumed_run import EPOCHS, SAMPLES, make_config, read_losses
from mmengine.runner import Runner

BROKEN = ['2.mp4', '7.mp4']


def train(folder: Path, *, stop_at: int | None = None, resume: bool = False, **hook: Any) -> str:
    """Train with two broken videos; what the log said."""
    cfg = make_config(folder, stop_at=stop_at)
    cfg.train_dataloader.dataset.pipeline = [dict(type='NoiseClip', broken=BROKEN)]
    cfg.custom_hooks = [dict(h, **hook) if 'Broken' in h.type else h for h in cfg.custom_hooks]
    cfg.resume, cfg.experiment_name = resume, f'{folder.name}-{resume}'
    runner = Runner.from_cfg(cfg)
    try:
        runner.train()
    except KeyboardInterrupt:
        assert stop_at is not None
    return ''.join(file.read_text() for file in folder.glob('*/*.log'))


def test_named_once_and_counted_every_epoch(tmp_path: Path):
    log = train(tmp_path)
    assert len(read_losses(tmp_path / 'losses.txt')) == 5 * EPOCHS
    for name in BROKEN:
        assert log.count(f'broken video, replaced by another: {name}: is cut off') == 1
    for epoch in range(1, EPOCHS + 1):
        assert log.count(f'epoch {epoch}: 2 broken videos were replaced') == 1


@pytest.mark.parametrize(
    ('max_share', 'max_count', 'stops'),
    [(1 / SAMPLES, 1, True), (2 / SAMPLES, 1, False), (1 / SAMPLES, 2, False)],
)
def test_stops_above_both_limits(max_share: float, max_count: int, stops: bool, tmp_path: Path):
    limits = dict(max_share=max_share, max_count=max_count, interval=1)
    if not stops:
        assert 'epoch 1: 2 broken videos' in train(tmp_path, stop_at=5, **limits)
        return
    with pytest.raises(RuntimeError, match=f'2 of {SAMPLES} videos are broken') as error:
        train(tmp_path, **limits)
    assert all(f'{name}: is cut off' in str(error.value) for name in BROKEN)
    assert len(read_losses(tmp_path / 'losses.txt')) <= 5  # in the first epoch, before its end


def test_counts_go_on_after_resuming(tmp_path: Path):
    before = train(tmp_path, stop_at=8, interval=1)
    log = train(tmp_path, resume=True, interval=1)[len(before) :]
    assert 'broken video' not in log.split('epoch 2:')[0]  # named before the interruption
    assert 'epoch 2: 2 broken videos were replaced' in log


def test_beyond_the_limit_a_file_names_them_and_checkpoints_stay_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr('mmstan.engine.broken_videos._MOST', 1)
    train(tmp_path, stop_at=8, interval=1)
    log = train(tmp_path, resume=True, interval=1)
    assert log.count('broken video, replaced by another: ') == 1
    assert log.count(f'more than 1 broken videos: {tmp_path}/broken.txt names them all') == 1
    lines = (tmp_path / 'broken.txt').read_text().splitlines()
    assert sorted(lines) == [f'{name}\tis cut off' for name in BROKEN]  # each once, also resumed
    assert 'epoch 2: 2 broken videos were replaced' in log
    last = torch.load(tmp_path / 'iter_15.pth', weights_only=False)
    saved = last['message_hub']['runtime_info']['broken_videos']
    assert len(saved['named']) == 1
    assert len(saved['epoch']) <= 1


def test_testing_leaves_them_out(tmp_path: Path):
    cfg = make_config(tmp_path)
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    cfg.test_cfg = dict(type='TestLoop')
    pipeline = [dict(type='NoiseClip', broken=BROKEN)]
    cfg.test_dataloader.dataset.update(pipeline=pipeline, skip_broken=True)
    metrics = Runner.from_cfg(cfg).test()
    assert metrics['acc/left_out'] == 2
    assert metrics['acc/top1'] * (SAMPLES - 2) == pytest.approx(
        round(metrics['acc/top1'] * (SAMPLES - 2))
    )
