import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.model import BaseModule

from mmstan import registry
from mmstan.config import checks as config
from mmstan.config.checks import check_arguments, check_config, check_work_dir, find_missing_data

# --- types and arguments ---


class PlainArguments(BaseModule):
    """A class of ours with arguments, for these tests."""

    def __init__(self, width: int, *, depth: int = 2) -> None:
        super().__init__()


class PassesArgumentsOn(PlainArguments):
    """Arguments of its own, and its base's through ``**kwargs``."""

    def __init__(self, *extra: int, heads: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class TakesAnything(torch.nn.Module):
    """``**kwargs`` that no base names."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()


class TakesNothing:
    """No ``__init__`` of its own."""


@pytest.fixture(autouse=True, scope='module')
def registered() -> Iterator[None]:
    registry.HOOKS.register_module(module=TakesNothing)
    classes = (PlainArguments, PassesArgumentsOn, TakesAnything)
    for cls in classes:
        registry.MODELS.register_module(module=cls)
    yield
    del registry.HOOKS.module_dict['TakesNothing']
    for cls in classes:
        del registry.MODELS.module_dict[cls.__name__]


@pytest.mark.parametrize(
    'node',
    [
        dict(type='mmstan.PlainArguments', width=1, depth=2),
        dict(type='mmstan.PassesArgumentsOn', heads=2, width=1, depth=2),
        dict(type='mmstan.TakesAnything', whatever=3),
        dict(type='mmstan.TakesNothing'),
        dict(type='mmstan.PlainArguments', width=1, _delete_=True, _scope_='mmstan'),
        dict(type='PlainArguments', what='not ours to check'),
        dict(type=PlainArguments, width=1),
        dict(type=dict, what='a class that is not ours'),
        dict(type='mmstan.models.necks.MeanPool'),
        dict(what='no type'),
    ],
)
def test_good_arguments(node: dict[str, Any]) -> None:
    check_arguments(Config(dict(a=dict(b=[dict(c=node)]))))


@pytest.mark.parametrize(
    ('node', 'problem'),
    [
        (dict(type='mmstan.FrameEncodr'), "there is no 'mmstan.FrameEncodr'; did you mean 'FrameE"),
        (dict(type='mmstan.Qqqq'), "there is no 'mmstan.Qqqq'; it has .*FrameEncoder, "),
        (
            dict(type='mmstan.PlainArguments', widths=1),
            "no argument 'widths'; did you mean 'width'",
        ),
        (dict(type='mmstan.PlainArguments', zz=1), "no argument 'zz'; it has depth, width$"),
        (dict(type='mmstan.PassesArgumentsOn', head=1), "no argument 'head'; did you mean 'heads'"),
        (dict(type='mmstan.PassesArgumentsOn', extra=1), "no argument 'extra'"),
        (dict(type='mmstan.PlainArguments', self=1), "no argument 'self'"),
        (dict(type='mmstan.TakesNothing', priority=1), "no argument 'priority'; it has none"),
        (dict(type='mmstan.MeanPool', dim=2), "no argument 'dim'"),
        (dict(type='mmstan.models.necks.MeanPool', dim=2), "mmstan.MeanPool has no argument 'dim'"),
        (dict(type='mmstan.models.necks.MeanPol'), "there is no '.*MeanPol'; did you mean 'MeanPo"),
        (dict(type=PlainArguments, widths=1), "no argument 'widths'; did you mean 'width'"),
    ],
)
def test_bad_arguments(node: dict[str, Any], problem: str) -> None:
    cfg = Config(dict(a=dict(b=[dict(), dict(c=node)])))
    with pytest.raises(ValueError, match=rf'^a\.b\.1\.c: .*{problem}') as error:
        check_arguments(cfg)
    assert '\n' not in str(error.value)


def test_bad_argument_below_a_good_one() -> None:
    inner = dict(type='mmstan.PlainArguments', widths=1)
    with pytest.raises(ValueError, match=r'^model\.width: mmstan.PlainArguments has no argument'):
        check_arguments(Config(dict(model=dict(type='mmstan.PlainArguments', width=inner))))


# --- data ---


def data_config(**dataset: Any) -> Config:
    loader = dict(batch_size=1, dataset=dict(type='VideoDataset', **dataset))
    return Config(dict(train_dataloader=loader, val_dataloader=deepcopy(loader)))


def missing(cfg: Config, *splits: str) -> list[str]:
    return [path for _, path in find_missing_data(cfg, splits)]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / 'list.txt').touch()
    (tmp_path / 'videos').mkdir()
    return tmp_path


def test_data_that_are_there(data: Path) -> None:
    cfg = data_config(ann_file=f'{data}/list.txt', data_prefix=dict(video=f'{data}/videos'))
    assert missing(cfg, 'train', 'val') == []
    cfg = data_config(ann_file='list.txt', data_prefix=dict(video='videos'), data_root=str(data))
    assert missing(cfg, 'train', 'val') == []
    cfg = data_config(ann_file=f'{data}/list.txt', data_prefix=dict(video='', audio=None))
    assert missing(cfg, 'train') == []


def test_data_that_are_not(data: Path) -> None:
    cfg = data_config(
        ann_file='other.txt', data_prefix=dict(video='clips', img='videos'), data_root=str(data)
    )
    assert missing(cfg, 'train', 'val') == [f'{data}/other.txt', f'{data}/clips']  # once
    assert dict(find_missing_data(cfg, ('val',))) == {
        'val_dataloader.dataset ann_file': f'{data}/other.txt',
        'val_dataloader.dataset video': f'{data}/clips',
    }
    assert missing(cfg, 'test') == []


def test_files_of_retrieval(data: Path) -> None:
    files = dict(ann_file='list.txt', video_list='nowhere.csv', caption_index='gone.pkl')
    cfg = data_config(**files, data_prefix=dict(video='clips'), data_root=str(data))
    assert dict(find_missing_data(cfg, ('val',))) == {
        'val_dataloader.dataset video_list': f'{data}/nowhere.csv',
        'val_dataloader.dataset caption_index': f'{data}/gone.pkl',
        'val_dataloader.dataset video': f'{data}/clips',
    }
    cfg = data_config(ann_file='', video_list=f'{data}/list.txt', data_prefix=dict(video=f'{data}'))
    assert missing(cfg, 'train', 'val') == []


def test_only_the_splits_that_are_needed(data: Path) -> None:
    cfg = data_config(ann_file='nowhere.txt')
    cfg.val_dataloader.dataset.ann_file = f'{data}/list.txt'
    assert missing(cfg, 'val') == []
    assert missing(cfg, 'train') == ['nowhere.txt']
    cfg.train_dataloader = None
    assert missing(cfg, 'train') == []


@pytest.mark.parametrize('depth', [1, 3])
def test_wrapped_data(depth: int) -> None:
    cfg = data_config(ann_file='nowhere.txt')
    for _ in range(depth):
        cfg.train_dataloader.dataset = dict(
            type='RepeatDataset', times=2, dataset=cfg.train_dataloader.dataset
        )
    assert missing(cfg, 'train') == ['nowhere.txt']


def test_concatenated_data(data: Path) -> None:
    cfg = data_config()
    parts = [dict(type='VideoDataset', ann_file=path) for path in (f'{data}/list.txt', 'gone.txt')]
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=parts)
    assert missing(cfg, 'train') == ['gone.txt']


def test_addresses_are_left_to_mmengine() -> None:
    cfg = data_config(ann_file='s3://bucket/list.txt', data_prefix=dict(video='s3://bucket/videos'))
    assert missing(cfg, 'train') == []


def test_class_names_that_are_missing(data: Path) -> None:
    cfg = data_config()
    cfg.model = dict(cls_head=dict(class_names='labels.txt'))
    assert dict(find_missing_data(cfg, ())) == {'model.cls_head.class_names': 'labels.txt'}
    for there in (['a', 'b'], f'{data}/list.txt'):
        cfg.model.cls_head.class_names = there
        assert missing(cfg) == []


def test_checkpoint_to_start_from(data: Path) -> None:
    cfg = data_config(ann_file=f'{data}/list.txt')
    for there in (None, f'{data}/list.txt', 'https://somewhere/epoch_3.pth'):
        cfg.load_from = there
        assert missing(cfg, 'train') == []
    cfg.load_from = f'{data}/epoch_3.pth'
    assert dict(find_missing_data(cfg, ('train',))) == {'load_from': f'{data}/epoch_3.pth'}
    cfg.work_dir = str(data)
    with pytest.raises(FileNotFoundError, match=r'\n  .*epoch_3\.pth  \(load_from\)\n'):
        check_config(cfg, splits=('train',))


def test_message_about_data(tmp_path: Path) -> None:
    cfg = data_config(ann_file='a/list.txt', data_prefix=dict(video='a/videos'))
    cfg.work_dir = str(tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        check_config(cfg, splits=('train',))
    text = str(error.value)
    assert '  a/list.txt  (train_dataloader.dataset ann_file)\n' in text
    assert '  a/videos  (train_dataloader.dataset video)\n' in text
    assert 'docs/data.md' in text
    assert '--cfg-options' in text


# --- work dir ---


def test_work_dir(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    for good in (tmp_path, tmp_path / 'new', tmp_path / 'new' / 'below'):
        check_work_dir(str(good))
        assert good == tmp_path or not good.exists()  # looked at, not made
    for bad in (tmp_path / 'file', tmp_path / 'file' / 'below', tmp_path / 'file' / 'a' / 'b'):
        with pytest.raises(PermissionError, match=r'cannot be written to .* --work-dir') as error:
            check_work_dir(str(bad))
        assert str(bad) in str(error.value)


def test_read_only_work_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.os, 'access', lambda path, mode: mode != config.os.W_OK)
    with pytest.raises(PermissionError, match='cannot be written to'):
        check_work_dir(str(tmp_path / 'new'))


def test_arguments_come_before_data(tmp_path: Path) -> None:
    cfg = data_config(ann_file='nowhere.txt')
    cfg.model = dict(type='mmstan.MeanPol')
    cfg.work_dir = str(tmp_path)
    with pytest.raises(ValueError, match="did you mean 'MeanPool'"):
        check_config(cfg, splits=('train',))


@pytest.mark.parametrize(
    ('metric', 'refused'),
    [
        (dict(type='mmstan.AccMetric'), False),
        (dict(type='AccMetric'), True),
        ([dict(type='mmstan.AccMetric'), dict(type='DumpResults')], False),
        ([dict(type='mmstan.AccMetric'), dict(type='ConfusionMatrix')], True),
        (dict(type='mmstan.RetrievalMetric'), False),
        (dict(type='RetrievalMetric'), True),
    ],
)
@pytest.mark.parametrize('skip', [False, True])
def test_skipped_videos_need_a_metric_that_knows(metric: Any, refused: bool, skip: bool) -> None:
    cfg = Config(
        dict(
            test_dataloader=dict(dataset=dict(skip_broken=skip)),
            test_evaluator=metric,
            work_dir='work_dirs/x',
        )
    )
    if refused and skip:
        with pytest.raises(ValueError, match=r'skip_broken=True.*mmstan\.AccMetric'):
            config.check_config(cfg, splits=())
    else:
        config.check_config(cfg, splits=())


@pytest.mark.parametrize(
    ('part', 'key', 'near'),
    [('vision_cfg', 'patchsize', 'patch_size'), ('text_cfg', 'vocab', 'vocab_size')],
)
def test_misspelled_sizes(part: str, key: str, near: str) -> None:
    model = dict(embed_dim=16, vision_cfg={}, text_cfg={})
    model[part] = {key: 8}
    with pytest.raises(ValueError, match=f"{part} has no size '{key}'; near it: {near}"):
        MODELS.build(dict(type='mmstan.ImageTower', model=model))


@pytest.mark.parametrize('kind', ['FastRCNN', 'mmdet.FastRCNN'])
def test_a_detector_of_mmdetection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / 'slowfast_ava.py'
    path.write_text(f'model = dict(type={kind!r})')
    cfg = Config.fromfile(path)
    monkeypatch.setattr(config, 'find_mmdet_problem', lambda: 'not installed')
    said = (
        'FastRCNN needs mmdet and a full mmcv; mmstan.ActionDetector does the same without them: '
        f'{path}'
    )
    with pytest.raises(ValueError, match=f'^{re.escape(said)}$'):
        check_arguments(cfg)
    monkeypatch.setattr(config, 'find_mmdet_problem', lambda: None)
    check_arguments(cfg)


@pytest.mark.parametrize(
    ('cfg', 'said'),
    [
        (dict(model=dict(type='Recognizer3D', micro_batch=4)), 'accumulative_counts does the same'),
        (dict(activation_checkpointing=['backbone']), r'model\.backbone\.checkpointing=True'),
    ],
)
def test_other_ways_to_save_memory_are_named(cfg: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_config(Config(dict(dict(model=dict(type='Recognizer3D')), **cfg)), splits=())


@pytest.mark.parametrize('split', ['train', 'test'])
def test_frame_masks_of_a_recognizer(split: str, tmp_path: Path) -> None:
    pack = dict(type='PackActionInputs', algorithm_keys=('captions', 'frame_mask'))
    loader = {f'{split}_dataloader': dict(dataset=dict(dataset=dict(pipeline=[pack])))}
    said = rf"^{split}_dataloader\.dataset\.dataset\.pipeline\.0\.algorithm_keys: 'frame_mask' of a"
    with pytest.raises(ValueError, match=said):
        check_config(Config(dict(model=dict(cls_head={}), **loader)), splits=())
    retrieval = Config(dict(model=dict(head={}), work_dir=str(tmp_path), **loader))
    check_config(retrieval, splits=())


@pytest.mark.parametrize('constructor', ['', 'mmaction.'])
def test_layer_decay_of_backbones_that_it_does_not_know(constructor: str, tmp_path: Path) -> None:
    constructor += 'LearningRateDecayOptimizerConstructor'
    model = dict(backbone=dict(type='mmstan.FrameEncoder'))
    cfg = Config(
        dict(model=model, optim_wrapper=dict(constructor=constructor), work_dir=str(tmp_path))
    )
    with pytest.raises(ValueError, match=r"those of mmstan\.FrameEncoder; take 'mmstan.ParamGr"):
        check_config(cfg, splits=('train',))
    check_config(cfg, splits=('test',))
    cfg.model.backbone.type = 'mmaction.VisionTransformer'
    check_config(cfg, splits=('train',))
