"""Whole runs on real video files: stock MMAction2 configs, ours, two processes without a GPU."""

import re
import sys
from pathlib import Path

import pytest
import torch
from helpers.gloo_processes import free_port
from helpers.scripts import script
from helpers.whole_runs import STOCK, run, run_stock, scalars, train_tiny
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmstan.registry import MODELS

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


STOCK_WITH_OURS = """
_base_ = [{base!r}]
custom_imports = dict(imports=['mmstan'], allow_failed_imports=False)
tower = dict(
    embed_dim=16,
    quick_gelu=True,
    vision_cfg=dict(image_size=224, patch_size=32, width=32, layers=3, head_width=16),
    text_cfg=dict(width=32, heads=2, layers=1),
)
model = dict(
    _delete_=True,
    type='Recognizer3D',
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[122.771, 116.746, 104.093],
        std=[68.500, 66.632, 70.323],
        format_shape={format_shape!r},
    ),
    backbone=dict(
        type='mmstan.STAN', tower=dict(type='mmstan.ImageTower', model=tower), levels=(2, 3)
    ),
    neck=dict(type='mmstan.MeanPool'),
    cls_head=dict(
        type='mmstan.TextHead',
        class_names='{data}/classes.txt',
        text_tower=dict(type='mmstan.TextTower', model=tower, frozen=True),
    ),
)
small = dict(batch_size=4, num_workers=0, persistent_workers=False)
videos = dict(video='{data}')
train_dataloader = dict(dataset=dict(ann_file='{data}/train.txt', data_prefix=videos), **small)
val_dataloader = dict(dataset=dict(ann_file='{data}/test.txt', data_prefix=videos), **small)
test_dataloader = dict(
    dataset=dict(ann_file='few.txt', data_prefix=videos), **dict(small, batch_size=1)
)
train_cfg = dict(max_epochs=1)
"""


def stock_config(data: Path, folder: Path, name: str, format_shape: str) -> Path:
    """A config that ships with MMAction2, with our model and the line that brings mmstan in."""
    few = (data / 'test.txt').read_text().splitlines()[:4]
    (folder / 'few.txt').write_text('\n'.join(few))
    config = folder / f'{format_shape}.py'
    text = STOCK_WITH_OURS.replace('{base!r}', repr(str(STOCK / 'configs/recognition' / name)))
    text = text.replace('{format_shape!r}', repr(format_shape)).replace('{data}', str(data))
    config.write_text(text)
    return config


def test_stock_config_and_stock_tools(moving_shapes: Path, tmp_path: Path) -> None:
    name = 'slowonly/slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb.py'
    config = stock_config(moving_shapes / 'recognition', tmp_path, name, 'NCTHW')
    tools = STOCK / 'tools'
    run(sys.executable, tools / 'train.py', config, '--work-dir', tmp_path / 'train', cwd=tmp_path)
    logged = scalars(tmp_path / 'train')
    assert any('loss' in line for line in logged)
    assert any('acc/top1' in line for line in logged)
    checkpoint = tmp_path / 'train/epoch_1.pth'
    out = run(sys.executable, tools / 'test.py', config, checkpoint, cwd=tmp_path)
    assert 'acc/top1' in out  # 10 clips x 3 crops, averaged


def test_a_2d_pipeline_is_refused_with_the_mend(
    moving_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = 'tsn/tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb.py'
    cfg = Config.fromfile(stock_config(moving_shapes / 'recognition', tmp_path, name, 'NCHW'))
    cfg.model.type = 'Recognizer2D'
    config = tmp_path / 'tsn.py'
    cfg.dump(config)
    with pytest.raises(ValueError, match='FormatShape must be NCTHW'):
        run_stock('train', config, '--work-dir', tmp_path / 'train', monkeypatch=monkeypatch)


def quickstart(data: Path) -> list[str]:
    """Options that point the quickstart's configs to other data."""
    loaders = ('train', 'val', 'test')
    return [
        '--cfg-options',
        f'model.cls_head.class_names={data}/classes.txt',
        *(f'{x}_dataloader.dataset.data_prefix.video={data}' for x in loaders),
        *(f'{x}_dataloader.num_workers=0' for x in loaders),
        *(f'{x}_dataloader.persistent_workers=False' for x in loaders),
        'train_dataloader.batch_size=4',
        f'train_dataloader.dataset.ann_file={data}/train.txt',
        f'val_dataloader.dataset.ann_file={data}/test.txt',
        f'test_dataloader.dataset.ann_file={data}/test.txt',
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
    ]


def test_two_processes_without_a_gpu(
    moving_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('MASTER_PORT', str(free_port()))
    script, config = PROJECT / 'tools/dist_train.sh', PROJECT / 'configs/quickstart/stan.py'
    options = quickstart(moving_shapes / 'recognition')
    out = run('bash', script, config, '2', '--work-dir', tmp_path, *options, cwd=tmp_path)
    log = next(tmp_path.glob('*/*.log')).read_text('utf-8')
    assert 'Distributed training: True' in log and 'Distributed training' not in out
    assert any('acc/top1' in line for line in scalars(tmp_path))
    checkpoint = tmp_path / 'epoch_1.pth'
    script = PROJECT / 'tools/dist_test.sh'
    out = run('bash', script, config, checkpoint, '2', *options, cwd=tmp_path)
    assert 'acc/top1' in out


def test_the_idea_of_the_page(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its module and config, as they stand there."""
    section = (
        (PROJECT / 'CONTRIBUTING.md').read_text('utf-8').partition('## An idea of your own')[2]
    )
    module, config = re.findall(r'```python\n(.*?)```', section, re.DOTALL)[:2]
    (tmp_path / 'ideas').mkdir()
    (tmp_path / 'ideas/gru.py').write_text(module)
    (tmp_path / 'idea.py').write_text(config.replace("'../", f"'{PROJECT}/configs/"))
    monkeypatch.syspath_prepend(tmp_path)
    logged = scalars(train_tiny(str(tmp_path / 'idea.py'), shapes, tmp_path, monkeypatch))
    assert any('loss' in line for line in logged)
    assert any('acc/top1' in line for line in logged)


@pytest.mark.parametrize('config', ['stan/k400_b32.py', 'stan/ablations/k400_b16_posterior.py'])
def test_shipped_configs_train_in_their_tiny_form(
    config: str, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = scalars(train_tiny(config, shapes, tmp_path, monkeypatch))
    assert any('loss' in line for line in logged)
    assert any('acc/top1' in line for line in logged)


def test_without_a_checkpoint_pretrained_weights_are_tested_and_random_ones_are_not(
    moving_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = str(PROJECT / 'configs/quickstart/stan.py')
    dump, options = tmp_path / 'predictions.pkl', quickstart(moving_shapes / 'recognition')
    arguments = ['test.py', config, '--work-dir', str(tmp_path), '--dump', str(dump), *options]
    monkeypatch.setattr(sys, 'argv', arguments)
    with pytest.raises(SystemExit, match='the weights would be random'):
        script('test').main()
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    cfg.model.cls_head.class_names = ['left', 'right']
    model = MODELS.build(cfg.model)
    towers = {**model.backbone.tower.state_dict(), **model.cls_head.texts.tower.state_dict()}
    torch.save(towers, tmp_path / 'towers.pt')
    tower = f'pretrained={tmp_path}/towers.pt'
    where = ('model.backbone.tower', 'model.cls_head.text_tower')
    monkeypatch.setattr(sys, 'argv', [*arguments, *(f'{name}.{tower}' for name in where)])
    script('test').main()
    assert dump.is_file()
