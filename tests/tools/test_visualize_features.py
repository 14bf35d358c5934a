import itertools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from helpers.scripts import PROJECT, script
from helpers.tiny_models import IMAGE, WORDS, reference
from helpers.tiny_runs import stock_config
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmstan.apis.layer_pictures import format_layers
from mmstan.visualization import pair_layers

_run = itertools.count()


@pytest.fixture(scope='module')
def tool() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PROJECT / 'tools'))  # as where it is run as a script
        yield script('visualize_features')


@pytest.fixture(scope='module')
def config_file(moving_shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny DiST, on the tiny Moving Shapes."""
    folder = tmp_path_factory.mktemp('visualize')
    data = moving_shapes / 'recognition'
    weights, sizes = folder / 'clip.pt', WORDS
    torch.save(reference(sizes).state_dict(), weights)
    tower = dict(model=sizes, pretrained=str(weights), frozen=True)
    sampler = dict(type='mmstan.SampleSegments', num_frames=8, num_clips=2, test_mode=True)
    cfg = stock_config(folder / 'work_dir')
    cfg.model.backbone = dict(
        type='mmstan.DiST',
        tower=dict(type='mmstan.ImageTower', **tower),
        num_frames=4,
        width=32,
        temporal_width=16,
    )
    cfg.model.cls_head = dict(
        type='mmstan.TextHead',
        class_names=str(data / 'classes.txt'),
        text_tower=dict(type='mmstan.TextTower', **tower),
    )
    cfg.test_dataloader.dataset = dict(
        type='mmstan.VideoDataset',
        ann_file=str(data / 'test.txt'),
        data_prefix=dict(video=str(data)),
        pipeline=[
            dict(type='mmstan.ReadFrames', sampler=sampler),
            dict(type='Resize', scale=(32, 32), keep_ratio=False),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs', meta_keys=('img_shape', 'filename')),
        ],
        test_mode=True,
    )
    cfg.dump(folder / 'dist.py')
    return folder / 'dist.py'


@pytest.fixture
def run(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(*arguments: Any) -> None:
        # MMEngine names its message hub by the second, so that two runs would share one.
        name = f'experiment_name=visualized_{next(_run)}'
        command = ['visualize_features.py', *map(str, arguments), '--cfg-options', name]
        monkeypatch.setattr(sys, 'argv', command)
        tool.main()

    return run


def printed(text: str) -> list[list[float]]:
    """The numbers of the table, without the layers'."""
    rows = [line.strip('| ').split(' | ') for line in text.splitlines() if re.match(r'\| \d', line)]
    return [[float(cell) for cell in row[1:]] for row in rows]


def test_one_command(run: Callable[..., None], config_file: Path, tmp_path: Path, capsys: Any):
    run(config_file, '--work-dir', tmp_path, '--index', 0, 5, '--videos', 4, '--patches', 64)
    found = capsys.readouterr().out
    assert '| layer | tower - temporal encoder | tower - integration branch | temporal' in found
    table = printed(found)
    assert [len(row) for row in table] == [3] * IMAGE['layers']
    for name in ('cka', 'activation_0', 'activation_5'):
        assert (tmp_path / f'{name}.png').stat().st_size > 5000
    assert found.endswith(f'Pictures: {tmp_path}/*.png\n')


def test_a_checkpoint_s_weights_count(
    run: Callable[..., None], config_file: Path, tmp_path: Path, capsys: Any
) -> None:
    init_default_scope('mmaction')
    tables = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        state = MODELS.build(Config.fromfile(config_file).model).state_dict()
        torch.save(dict(state_dict=state), tmp_path / 'epoch_1.pth')
        checkpoint = tmp_path / 'epoch_1.pth'
        run(config_file, checkpoint, '--work-dir', tmp_path, '--videos', 2, '--index')
        tables.append(printed(capsys.readouterr().out))
    assert tables[0] == tables[1] != tables[2]
    assert not list(tmp_path.glob('activation_*.png'))


def test_layers_by_name(
    run: Callable[..., None], config_file: Path, tmp_path: Path, capsys: Any
) -> None:
    """The same layers under another name are alike."""
    same = r'again=branch\.layers\.\d\.temporal_block'
    run(config_file, '--work-dir', tmp_path, '--videos', 2, '--layers', same)
    found = capsys.readouterr().out
    header = next(line for line in found.splitlines() if line.startswith('| layer |'))
    column = header.strip('| ').split(' | ').index('temporal encoder - again')
    rows = printed(found)
    assert [row[column - 1] for row in rows] == [1.0] * IMAGE['layers']
    assert all(cell < 1 for row in rows for i, cell in enumerate(row) if i != column - 1)


def test_no_groups_to_compare(tool: ModuleType) -> None:
    assert format_layers(pair_layers(torch.eye(2).numpy(), dict(tower=2))) == ''


@pytest.mark.parametrize(
    ('arguments', 'problem'),
    [
        (('--index', '16'), r'^error: video 16 must be 0 to 15 '),
        (('--layers', 'a=b'), r'^error: a=b: no module of DiST has such a name'),
    ],
)
def test_wrong_settings(
    arguments: tuple[str, ...],
    problem: str,
    run: Callable[..., None],
    config_file: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(SystemExit, match=problem):
        run(config_file, '--work-dir', tmp_path, '--videos', 1, *arguments)


@pytest.mark.parametrize(
    ('options', 'problem'),
    [
        (['--videos', '0'], 'argument --videos: 0 is less than 1'),
        (['--patches', '3'], 'argument --patches: 3 is less than 4'),
        (['--layers', 'a=b', 'c=d', 'a=e'], '--layers a=b c=d a=e: give each a NAME of its own'),
        (['--layers', 'a'], '--layers a: give NAME=EXPRESSION'),
    ],
)
def test_options_that_cannot_be(
    options: list[str], problem: str, tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        tool.parse_layers(['config.py', *options])
    assert problem in capsys.readouterr().err


def test_stock_backbones(run: Callable[..., None], tmp_path: Path) -> None:
    stock_config(tmp_path / 'work_dir').dump(tmp_path / 'stock.py')
    with pytest.raises(SystemExit, match=r'^error: .*backbone ResNet3dSlowOnly is none of mmstan'):
        run(tmp_path / 'stock.py', '--work-dir', tmp_path)
