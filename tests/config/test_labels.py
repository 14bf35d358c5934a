"""Labels in lists, names of classes and classes of heads, compared before anything is built."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mmaction.datasets import VideoDataset as StockVideoDataset
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmstan.config.labels import check_labels, count_classes
from mmstan.datasets import VideoDataset

NAMES = ['up', 'down', 'left', 'right']
HEADER = 'video_id,start_timestamp,stop_timestamp,verb_class,noun_class'


def write(path: Path, labels: Sequence[Any]) -> str:
    path.write_text(''.join(f'{i}.mp4 {label}\n' for i, label in enumerate(labels)))
    return str(path)


def config(head: dict[str, Any], **datasets: Any) -> Config:
    loaders = {f'{split}_dataloader': dict(dataset=data) for split, data in datasets.items()}
    return Config(dict(model=dict(type='Recognizer3D', cls_head=head), **loaders))


def videos(path: str, **arguments: Any) -> dict[str, Any]:
    return dict(type='mmstan.VideoDataset', ann_file=path, **arguments)


HEADS = {
    'names': dict(type='mmstan.TextHead', class_names=NAMES),
    'number': dict(type='TSNHead', num_classes=4),
    'both': dict(type='mmstan.TextHead', class_names=NAMES, num_classes=4),
}


@pytest.mark.parametrize('head', HEADS)
@pytest.mark.parametrize('kind', ['mmstan.VideoDataset', 'VideoDataset', StockVideoDataset])
def test_labels_that_are_classes(head: str, kind: Any, tmp_path: Path) -> None:
    data = dict(videos(write(tmp_path / 'list.txt', [3, 0, 1, 2])), type=kind)
    check_labels(config(HEADS[head], train=data, val=data), ('train', 'val'))


@pytest.mark.parametrize(
    ('split', 'kind', 'head'),
    [
        ('train', 'mmstan.VideoDataset', 'names'),
        ('val', 'VideoDataset', 'number'),
        ('test', VideoDataset, 'both'),
    ],
)
@pytest.mark.parametrize(
    ('labels', 'problem'),
    [
        ([1, 2, 3, 4], 'line 4: the label 4 .* labels from 1 to 4, 4 classes: they start at 1?'),
        ([0, 1, 2, 3, 9], 'line 5: the label 9 .* 0 to 3; labels from 0 to 9, 4 classes: are'),
        ([1, 2, 3, 3], 'line 1: labels from 1 to 3, 4 classes .* no video of class 0: they start'),
        ([0, 1, -1], "line 3: '2.mp4 -1' must be 'path label': the label -1 is less than 0"),
        ([0, 1, ''], "line 3: '2.mp4' must be 'path label': it has no label"),
        ([0, '1.0'], r"line 2: '1.mp4 1\.0' must be 'path label': the label '1\.0' is not"),
    ],
)
def test_labels_that_are_no_classes(
    head: str, split: str, kind: Any, labels: Sequence[Any], problem: str, tmp_path: Path
) -> None:
    data = dict(videos(write(tmp_path / 'list.txt', labels)), type=kind)
    cfg = config(HEADS[head], **{split: data})
    place = rf'^{split}_dataloader\.dataset\.ann_file=.*list\.txt.*, '
    with pytest.raises(ValueError, match=place + problem) as error:
        check_labels(cfg, (split,))
    assert '\n' not in str(error.value)
    check_labels(cfg, [other for other in ('train', 'val', 'test') if other != split])


def test_lists_in_wrappers(tmp_path: Path) -> None:
    write(tmp_path / 'a.txt', [0, 1])
    write(tmp_path / 'b.txt', [2, 4])
    parts = [videos(name, data_root=str(tmp_path)) for name in ('a.txt', 'b.txt')]
    repeated = dict(type='RepeatDataset', times=2, dataset=parts[1])
    joined = dict(type='ConcatDataset', datasets=[parts[0], repeated])
    message = r'^train_dataloader\.dataset\.datasets\.1\.dataset\.ann_file=.*b\.txt.*line 2: the la'
    with pytest.raises(ValueError, match=message):
        check_labels(config(HEADS['number'], train=joined), ('train',))
    write(tmp_path / 'b.txt', [2, 3])  # without class 0, which the other list has
    check_labels(config(HEADS['number'], train=joined), ('train',))


def test_classes_without_a_video_are_pointed_out(tmp_path: Path) -> None:
    MMLogger.get_instance('labels', log_file=tmp_path / 'log')
    train, val = write(tmp_path / 'train.txt', [0, 2]), write(tmp_path / 'val.txt', [0, 1, 2, 3])
    cfg = config(HEADS['number'], train=videos(train), val=videos(val))
    check_labels(cfg, ('train', 'val'))
    log = (tmp_path / 'log').read_text()
    assert f'{train} has no video of 2 of the 4 classes of model.cls_head: 1, 3' in log
    assert f'{val} has what training has not: 2 of the 4 classes of model.cls_head: 1, 3' in log


@pytest.mark.parametrize(('labels', 'refused'), [([1, 2], True), ([1], False), ([1, 3], False)])
def test_few_videos_without_class_0(labels: list[int], refused: bool, tmp_path: Path) -> None:
    cfg = config(HEADS['number'], val=videos(write(tmp_path / 'list.txt', labels)))
    if refused:
        with pytest.raises(ValueError, match='no video of class 0: they start at 1'):
            check_labels(cfg, ('val',))
    else:
        check_labels(cfg, ('val',))


@pytest.mark.parametrize(
    ('lines', 'arguments', 'problem'),
    [
        ('a.mp4 0 3\nb.mp4 2\nc.mp4 1\n', dict(num_classes=4), ''),
        ('a.mp4 1 3\nb.mp4 2\n', dict(num_classes=4), ''),
        ('a.mp4 0 4\n', dict(num_classes=4), 'line 1: the label 4 is no class'),
        ('a.mp4 0 1\n', dict(num_classes=5), 'num_classes=5, but model.cls_head has 4 classes'),
    ],
)
def test_several_labels(
    lines: str, arguments: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    (tmp_path / 'list.txt').write_text(lines)
    data = videos(str(tmp_path / 'list.txt'), multi_class=True, **arguments)
    cfg = config(HEADS['number'], train=data)
    if not problem:
        check_labels(cfg, ('train',))
        return
    with pytest.raises(ValueError, match=problem):
        check_labels(cfg, ('train',))


@pytest.mark.parametrize(
    ('rows', 'problem'),
    [
        (['0,0', '1,2', '1,1'], ''),
        (
            ['0,0', '2,1'],
            'line 3: the label 2 is no class of model.cls_head.verb, which has 0 to 1',
        ),
        (['0,1', '1,2', '0,3'], 'line 4: the label 3 .*head.noun.*labels from 1 to 3, 3 classes: '),
        (['0,1', '1,2'], r'line 2: labels from 1 to 2, 3 classes \(model\.cls_head\.noun\)'),
        (['0,1', '1.0,2'], 'line 3: the row is no segment'),
    ],
)
def test_verbs_and_nouns(rows: list[str], problem: str, tmp_path: Path) -> None:
    lines = [HEADER, *(f'P01,00:00:01,00:00:02,{row}' for row in rows)]
    (tmp_path / 'epic.csv').write_text('\n'.join(lines))
    verb = dict(type='mmstan.TextHead', class_names=['take', 'put'])
    head = dict(type='mmstan.VerbNounHead', verb=verb, noun=dict(type='TSNHead', num_classes=3))
    data = dict(type='mmstan.EpicKitchens', ann_file=str(tmp_path / 'epic.csv'))
    cfg = config(head, test=data)
    if not problem:
        check_labels(cfg, ('test',))
        return
    with pytest.raises(ValueError, match=rf'test_dataloader.*epic\.csv.*, {problem}'):
        check_labels(cfg, ('test',))


def test_one_label_for_two_heads(tmp_path: Path) -> None:
    part = dict(type='TSNHead', num_classes=4)
    cfg = config(dict(verb=part, noun=part), train=videos(write(tmp_path / 'list.txt', [0, 1])))
    with pytest.raises(ValueError, match='line 1: a video has 1 labels, and the model 2 heads'):
        check_labels(cfg, ('train',))


def test_names_and_number_of_classes(tmp_path: Path) -> None:
    (tmp_path / 'names.txt').write_text('\n'.join(NAMES))
    head = dict(class_names=str(tmp_path / 'names.txt'), num_classes=5)
    with pytest.raises(ValueError, match=r'^model.cls_head.num_classes=5, .*names\.txt.* 4 names'):
        count_classes(config(head))
    assert count_classes(config(dict(head, num_classes=None))) == [('model.cls_head', 4)]
    assert count_classes(config(dict(type='FeatureHead'))) == []
    assert count_classes(Config(dict(model=dict(type='mmstan.VideoTextModel')))) == []
