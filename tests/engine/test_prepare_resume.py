import os
import shutil
from pathlib import Path

import pytest
import torch
from helpers.resumed_run import make_config, read_losses
from mmengine.runner import Runner, find_latest_checkpoint

from mmstan.engine.prepare_resume import (
    fix_last_checkpoint,
    is_truncated,
    resume_own_checkpoint,
)


def save(path: Path, *, age: int, keep: float = 1.0) -> Path:
    """Write a checkpoint of ``age`` seconds, of which only a part reached the disk."""
    torch.save(dict(weight=torch.rand(100)), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


@pytest.mark.parametrize(
    ('keep', 'truncated'), [(1.0, False), (0.99, True), (0.1, True), (0, True)]
)
def test_is_truncated(keep: float, truncated: bool, tmp_path: Path):
    assert is_truncated(save(tmp_path / 'iter_1.pth', age=0, keep=keep)) is truncated


def test_old_format_is_not_truncated(tmp_path: Path):
    torch.save({}, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    assert not is_truncated(tmp_path / 'old.pth')


@pytest.mark.parametrize('named', ['iter_3.pth', 'gone.pth', ''])
def test_newest_whole_checkpoint_is_named(named: str, tmp_path: Path):
    save(tmp_path / 'iter_10.pth', age=2)
    save(tmp_path / 'iter_9.pth', age=3)
    save(tmp_path / 'best_acc_epoch_3.pth', age=1)  # without the optimiser
    save(tmp_path / 'features.pth', age=0)  # of a test set
    save(tmp_path / 'iter_3.pth', age=0, keep=0.5)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / named) if named else '')
    fix_last_checkpoint(tmp_path)
    assert find_latest_checkpoint(str(tmp_path)) == str(tmp_path / 'iter_10.pth')


@pytest.mark.parametrize('named', ['s3://bucket/iter_3.pth', 'iter_3.pth'])
def test_what_is_whole_or_elsewhere_stays(named: str, tmp_path: Path):
    save(tmp_path / 'iter_3.pth', age=9)
    save(tmp_path / 'iter_4.pth', age=0)
    named = named if '://' in named else str(tmp_path / named)
    (tmp_path / 'last_checkpoint').write_text(named)
    fix_last_checkpoint(tmp_path)
    assert find_latest_checkpoint(str(tmp_path)) == named


def test_a_copied_work_dir_goes_on_from_its_own_checkpoint(tmp_path: Path):
    original, copied = tmp_path / 'original', tmp_path / 'copied'
    original.mkdir()
    path = save(original / 'iter_3.pth', age=0)
    (original / 'last_checkpoint').write_text(str(path))
    shutil.copytree(original, copied)
    for folder in (original, copied):
        fix_last_checkpoint(folder)
        assert find_latest_checkpoint(str(folder)) == str(folder / 'iter_3.pth')
    (original / 'last_checkpoint').unlink()  # a folder of checkpoints, and an older file here
    (copied / 'last_checkpoint').write_text(str(path))
    fix_last_checkpoint(copied)
    assert find_latest_checkpoint(str(copied)) == str(path)


def test_nothing_whole(tmp_path: Path):
    path = save(tmp_path / 'iter_3.pth', age=0, keep=0.5)
    (tmp_path / 'last_checkpoint').write_text(str(path))
    fix_last_checkpoint(tmp_path)
    assert find_latest_checkpoint(str(tmp_path)) is None


@pytest.mark.parametrize(
    'content', [b'\xff\x00\xfe' * 99, b'gone.pth\n', b'version https://a b', b'/']
)
def test_a_pointer_that_names_no_file_is_named_itself(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []
    monkeypatch.setattr('mmstan.engine.prepare_resume.print_log', lambda x, **_: said.append(x))
    (tmp_path / 'last_checkpoint').write_bytes(content)
    fix_last_checkpoint(tmp_path)
    assert find_latest_checkpoint(str(tmp_path)) is None
    assert len(said) == 1 and said[0].startswith(f'{tmp_path}/last_checkpoint names no file (')


def test_settings_that_cannot_be_resumed_exactly_are_named(tmp_path: Path):
    cfg = make_config(tmp_path, stop_at=0)
    cfg.optim_wrapper.accumulative_counts = 2
    cfg.default_hooks.checkpoint.max_keep_ckpts = 1
    with pytest.raises(KeyboardInterrupt):
        Runner.from_cfg(cfg).train()
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'checkpoints every 3 iterations fall between the updates' in log
    assert 'max_keep_ckpts=1: the only checkpoint is removed' in log


def test_weights_alone_cannot_be_gone_on_from(tmp_path: Path):
    cfg = make_config(tmp_path, stop_at=4)
    cfg.default_hooks.checkpoint.save_optimizer = False
    with pytest.raises(KeyboardInterrupt):
        Runner.from_cfg(cfg).train()
    cfg.resume, cfg.experiment_name = True, 'weights_alone'
    with pytest.raises(ValueError, match='it holds no state of the optimiser'):
        Runner.from_cfg(cfg).train()


def test_a_run_begins_with_its_start_file_and_goes_on_from_its_own(tmp_path: Path):
    def build(stop_at: int) -> Runner:
        cfg = make_config(tmp_path / 'run', stop_at=stop_at)
        cfg.resume, cfg.load_from = True, str(tmp_path / 'start.pth')
        cfg.experiment_name = f'own_{stop_at}'
        runner = Runner.from_cfg(cfg)
        resume_own_checkpoint(runner)
        return runner

    cfg = make_config(tmp_path / 'run')
    state = {name: x + 1 for name, x in Runner.from_cfg(cfg).model.state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'start.pth')  # weights alone: nothing to resume
    runner = build(stop_at=4)
    runner.call_hook('before_run')  # the hook of averaged weights makes its copy
    runner.load_or_resume()
    assert all(torch.equal(runner.model.state_dict()[name], x) for name, x in state.items())
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    (tmp_path / 'start.pth').unlink()
    with pytest.raises(KeyboardInterrupt):
        build(stop_at=5).train()
    # The second run goes on behind the checkpoint in the work dir, of iteration 3.
    assert [step for step, _ in read_losses(tmp_path / 'run/losses.txt')] == [*range(5), 3, 4, 5]


def test_without_the_hook_another_epoch_length_is_refused(tmp_path: Path):
    """Both lengths are named, and what to add."""
    cfg = make_config(tmp_path, stop_at=4)
    with pytest.raises(KeyboardInterrupt):
        Runner.from_cfg(cfg).train()
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook.type != 'mmstan.PrepareResume']
    cfg.resume, cfg.experiment_name = True, 'without_the_hook'
    cfg.train_dataloader.batch_size = 6
    said = r"has 3 iterations, and had 5 .*add dict\(type='mmstan.PrepareResume'\)"
    with pytest.raises(ValueError, match=said):
        Runner.from_cfg(cfg).train()
