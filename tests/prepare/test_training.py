"""From a folder of one's own to a trained model: three commands, and no file is edited."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.scripts import script
from mmengine.fileio import load

# Rendered clips are few and small: loaders of this process, one epoch of the quickstart's towers.
IN_THIS_PROCESS = [
    '--cfg-options',
    *(f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test')),
    *(f'{split}_dataloader.persistent_workers=False' for split in ('train', 'val', 'test')),
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=1',
]


@pytest.mark.parametrize('options', [[], ['--encode', 'short-side=32']])
def test_prepare_train_test(
    options: list[str],
    untidy: Path,
    prepare: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = prepare(untidy, '--config', 'quickstart/stan', *options)
    assert said.splitlines()[-1] == f'next      python tools/train.py {tmp_path}/mine/config.py'
    arguments = [f'{tmp_path}/mine/config.py', *IN_THIS_PROCESS]
    monkeypatch.setattr(sys, 'argv', ['train.py', *arguments])
    script('train').main()
    checkpoint, dump = 'work_dirs/mine/epoch_1.pth', 'predictions.pkl'
    monkeypatch.setattr(sys, 'argv', ['test.py', arguments[0], checkpoint, *arguments[1:],
                                      '--dump', dump])  # fmt: skip
    script('test').main()
    predictions = load(dump)
    assert len(predictions) == len((tmp_path / 'mine/test.txt').read_text().splitlines())
    assert all(prediction['pred_score'].shape == (3,) for prediction in predictions)


def test_the_tiny_form_of_a_written_config_trains(
    untidy: Path,
    shapes: Path,
    prepare: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/moving_shapes').symlink_to(shapes)
    monkeypatch.chdir(tmp_path)
    prepare(untidy, '--config', 'stan/k400_b32')
    monkeypatch.setattr(sys, 'argv', ['train.py', f'{tmp_path}/mine/config.py', '--tiny'])
    script('train').main()
    assert (tmp_path / 'work_dirs/mine_tiny/epoch_1.pth').exists()
