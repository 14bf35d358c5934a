"""The command from a source to its files."""

import itertools
import json
import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmstan.config.checks import check_config
from mmstan.datasets import CaptionsJson, VideoDataset
from mmstan.prepare import check
from mmstan.registry import DATASETS

Prepare = Callable[..., str]
Make = Callable[..., Path]
TWO = {f'{label}/{i}.mp4': i + 3 * (label == 'b') for label in 'ab' for i in range(3)}


def build(out: Path, split: str) -> VideoDataset | CaptionsJson:
    """A data set of the config that was written, as a run builds it."""
    cfg = Config.fromfile(out / 'config.py')
    init_default_scope(cfg.default_scope)
    check_config(cfg, splits=('train', 'val', 'test'))
    return DATASETS.build(cfg[f'{split}_dataloader'].dataset)


def read_splits(out: Path) -> dict[str, list[str]]:
    """The lines of each list without the labels."""
    names = {path.stem: path.read_text('utf-8').splitlines() for path in out.glob('t*.txt')}
    names |= {'val': (out / 'val.txt').read_text('utf-8').splitlines()}
    return {split: [line.split('\t')[0] for line in lines] for split, lines in names.items()}


def test_an_untidy_folder(untidy: Path, prepare: Prepare, tmp_path: Path) -> None:
    lines = prepare(untidy).splitlines()
    out = tmp_path / 'mine'
    stages = ['read', 'checked', 'encoded', 'split', 'written', 'next']
    assert [line.split()[0] for line in lines if 'mmengine' not in line] == stages
    assert (out / 'label_map.txt').read_text() == 'brush hair\njump rope\nÄpfel schälen\n'
    sets = [build(out, split) for split in ('train', 'val', 'test')]
    samples = [data.get_data_info(i) for data in sets for i in range(len(data))]
    assert len(samples) == 23 and all(os.path.exists(sample['filename']) for sample in samples)
    labels = {os.path.relpath(sample['filename'], untidy): sample['label'] for sample in samples}
    decomposed = unicodedata.normalize('NFD', 'Äpfel schälen/sub/grün.MP4')
    assert (labels['brush_hair/it\'s, "so" 3.avi'], labels[decomposed]) == (0, 2)
    assert labels['JumpRope/no suffix 7'] == 1
    report = (out / 'report.md').read_text()
    for text in (
        '- brush_hair/empty.mp4: is empty (0 bytes)',
        '- brush_hair/cut.mp4: cannot be opened: it is no video, or parts of it are lost',
        '- brush_hair/dangling.mp4: is a link to nothing',
        '- JumpRope/copy.mp4 = brush_hair/clip 0.mp4; **their labels differ**',
        '- files that are no videos, passed over: 3 (1 x .md, 1 x .txt, 1 x no suffix)',
        '- brush_hair/clip 0.mp4: 6 frames, 0.75 s',
    ):
        assert text in report
    splits = read_splits(out)
    for pair in (['JumpRope/copy.mp4', 'brush_hair/clip 0.mp4'],
                 ['JumpRope/clip 7.mp4', '"JumpRope/no suffix 7"']):  # fmt: skip
        assert any(set(pair) <= set(names) for names in splits.values())


def test_the_same_seed_gives_the_same_bytes(untidy: Path, prepare: Prepare, tmp_path: Path) -> None:
    for out, seed in (('a/mine', '3'), ('b/mine', '3'), ('c/mine', '4')):
        prepare(untidy, '--seed', seed, '--jobs', '1' if out == 'a/mine' else '3', out=out)
    names = sorted(path.name for path in (tmp_path / 'a/mine').glob('[a-z]*'))
    assert names == ['config.py', 'label_map.txt', 'report.md', 'test.txt', 'train.txt', 'val.txt']
    for name in names:
        first, same = ((tmp_path / x / 'mine' / name).read_bytes() for x in 'ab')
        assert first == same, name
    first, other = ((tmp_path / x / 'mine/train.txt').read_bytes() for x in 'ac')
    assert first != other


def test_strict_and_classes_that_are_too_small(
    untidy: Path, prepare: Prepare, folder: Make, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r'--strict: 4 videos cannot be used: .*nothing.*, and 1'):
        prepare(untidy, '--strict')
    few = folder({'a/0.mp4': 0, 'a/1.mp4': 1, 'b/0.mp4': 2}, 'few')
    (few / 'b/1.mp4').touch()
    with pytest.raises(ValueError, match=r"'b' has 1 video; .* needs 2 .*b/1.mp4: is empty"):
        prepare(few)
    with pytest.raises(ValueError, match="has one class, 'a'; a classifier needs two or more"):
        prepare(folder({'a/0.mp4': 0, 'a/1.mp4': 1}, 'one'))
    (tmp_path / 'names.txt').write_text('a\nc\n')
    with pytest.raises(ValueError, match="'c' has 0 videos"):
        prepare(folder(TWO), '--classes', str(tmp_path / 'names.txt'))
    assert not (tmp_path / 'mine/train.txt').exists()


def test_classes_by_a_file(folder: Make, prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / 'names.txt').write_text('c\na\n')
    videos = folder({**TWO, 'c/0.mp4': 10, 'c/1.mp4': 11})
    line = prepare(videos, '--classes', str(tmp_path / 'names.txt'))
    assert '5 videos, 2 classes' in line and 'left out: 3 (b/0.mp4: --classes does not' in line
    assert (tmp_path / 'mine/label_map.txt').read_text() == 'c\na\n'


def test_splits_of_the_folder_stay(folder: Make, prepare: Prepare, tmp_path: Path) -> None:
    files = {f'{split}/{label}/{i}.mp4': next(numbers)
             for numbers in [itertools.count()]
             for split, many in (('train', 3), ('val', 2))
             for label in 'ab' for i in range(many)}  # fmt: skip
    videos = folder({**files, 'val/b/same.mp4': 0})
    assert 'as ' in prepare(videos)
    assert set(read_splits(tmp_path / 'mine')) == {'train', 'val'}
    report = (tmp_path / 'mine/report.md').read_text()
    assert 'val/b/same.mp4; **their labels differ**: a, b; **they are in several splits**' in report
    assert '- a/0.mp4 (train, val)' in report
    assert 'the test runs on the videos of validation' in (tmp_path / 'mine/config.py').read_text()
    with pytest.raises(ValueError, match=r'--group divides videos, and .* has its own splits'):
        prepare(videos, '--group', 'a')


def test_validation_is_taken_from_training(folder: Make, prepare: Prepare, tmp_path: Path) -> None:
    files = {f'{split}/{label}/{i}.mp4': i + 6 * (label == 'b') + 3 * (split == 'test')
             for split in ('train', 'test') for label in 'ab' for i in range(3)}  # fmt: skip
    assert 'validation taken from training' in prepare(folder(files))
    sizes = {split: len(names) for split, names in read_splits(tmp_path / 'mine').items()}
    assert sizes == dict(train=4, val=2, test=6)
    assert all(name.startswith('test/') for name in read_splits(tmp_path / 'mine')['test'])


def test_captions(folder: Make, prepare: Prepare, tmp_path: Path) -> None:
    videos = folder({f'a b/{i}.mp4': i for i in range(5)})
    rows = [f'a b/{i}.mp4;A dog, number {i}\n' for i in range(5)] + ['a b/0.mp4;A cat\n']
    (videos / 'list.csv').write_text('path;caption\n' + ''.join(rows))
    assert '5 videos, captions; no splits' in prepare(videos / 'list.csv')
    out = tmp_path / 'mine'
    captions = json.loads((out / 'captions.json').read_text())
    assert captions['a b/0.mp4'] == ['A dog, number 0', 'A cat'] and len(captions) == 5
    data = build(out, 'test')
    assert isinstance(data, CaptionsJson) and len(data) == 1 and not data.num_missing
    assert os.path.exists(data.get_data_info(0)['filename'])
    assert not (out / 'label_map.txt').exists()
    with pytest.raises(ValueError, match='learns from labels, and the videos have captions'):
        prepare(videos / 'list.csv', '--config', 'stan/k400_b16')
    with pytest.raises(ValueError, match='--classes: the videos have captions'):
        prepare(videos / 'list.csv', '--classes', 'x.txt')


def test_splits_of_captions(folder: Make, prepare: Prepare, tmp_path: Path) -> None:
    videos = folder({f'{i}.mp4': i for i in range(3)})

    def write(*rows: str) -> Path:
        (videos / 'list.csv').write_text('\n'.join(['path,caption,split', *rows, '']))
        return videos / 'list.csv'

    for others in (('val', 'val'), ('test', 'test'), ('val', 'test')):
        with pytest.raises(ValueError, match=r'has no video for training that can be used'):
            prepare(write(*(f'{i}.mp4,A {i},{split}' for i, split in enumerate(others))))
    prepare(write('0.mp4,A,train', '1.mp4,B,val', '1.mp4,B,test'))
    captions = json.loads((tmp_path / 'mine/captions.json').read_text())
    assert captions == {'0.mp4': ['A'], '1.mp4': ['B']}  # once, though two splits have it


def test_videos_elsewhere_and_parts(folder: Make, prepare: Prepare, tmp_path: Path) -> None:
    videos = folder(TWO)
    rows = [f'{videos}/{name},{name[0]},,\n' for name in TWO]
    rows += [f'{videos}/a/2.mp4,a,0.25,0.6\n', f'{videos}/a/2.mp4,a,0.5,99\n',
             f'{videos}/a/2.mp4,a,7,\n', 'missing.mp4,b,,\n']  # fmt: skip
    (tmp_path / 'lists').mkdir()
    (tmp_path / 'lists/list.csv').write_text('path,label,start,end\n' + ''.join(rows))
    said = prepare(tmp_path / 'lists/list.csv', '--group', '[ab]/2')
    assert 'line 10: ' in said and 'ends at 1.00 s, before its part begins' in said
    assert 'missing.mp4: there is no such file; paths are relative to ' in said
    assert 'parts that end after their video, and now with it: 1' in said
    assert 'encoded   2 videos (H.264, size kept, a key frame every 16 frames' in said
    splits = read_splits(tmp_path / 'mine')
    listed = [name for names in splits.values() for name in names]
    assert len(listed) == 8 and all(os.path.isabs(name.split()[0]) for name in listed)
    parts = [name for name in listed if '/encoded/elsewhere/2-' in name]
    assert len(parts) == 2  # in the split of the video itself
    assert any({*parts, f'{videos}/a/2.mp4 0'} <= set(names) for names in splits.values())
    assert len(build(tmp_path / 'mine', 'train')) == len(splits['train'])


@pytest.mark.parametrize(
    ('options', 'problem'),
    [
        (['--config', 'stan/k400_b61'], 'is neither a file.*; did you mean stan/k400_b16'),
        (['--config', 'stan/msrvtt_b16'], 'learns from captions, and the videos have labels'),
        (['--config', 'dist/ek100_b16'], 'has no head for one label a video'),
        (['--jobs', '0'], '--jobs 0 must be at least 1'),
        (['--split', '0.5', '0.6'], '--split 0.5 0.6: give the shares'),
        (['--encode', 'side=3'], "--encode side=3: 'side=3' is neither short-side=PIXELS"),
        (['--encode', 'gop=0'], "'gop=0' is neither"),
    ],
)
def test_options_that_are_refused(
    options: list[str], problem: str, folder: Make, prepare: Prepare
) -> None:
    with pytest.raises((ValueError, OSError), match=problem):
        prepare(folder(TWO), *options)


def test_places_that_are_refused(folder: Make, prepare: Prepare, tmp_path: Path) -> None:
    videos = folder(TWO)
    with pytest.raises(FileNotFoundError, match='there is neither such a folder nor such a table'):
        prepare(tmp_path / 'nowhere')
    with pytest.raises(ValueError, match=r'lies in .*, which would read it as a class next time'):
        prepare(videos, out='videos/mine')
    prepare(videos)
    with (tmp_path / 'mine/config.py').open('a') as file:
        file.write('# my own change\n')
    with pytest.raises(ValueError, match=r'config.py is not as mmstan prepare wrote it, and would'):
        prepare(videos)


def test_a_second_call_checks_nothing_again_and_removes_old_lists(
    folder: Make, prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = folder(TWO)
    prepare(videos)
    before = (tmp_path / 'mine/report.md').read_bytes()
    seen: list[str] = []
    monkeypatch.setattr(check, 'check_video', lambda path: seen.append(path) or check.Facts('no'))
    assert '6 files checked before' in prepare(videos)
    assert (tmp_path / 'mine/report.md').read_bytes() == before
    prepare(videos, '--split', '0.7', '0.3')
    assert not (tmp_path / 'mine/test.txt').exists()
    os.utime(videos / 'a/0.mp4', (1, 1))  # changed since
    prepare(videos)
    assert seen == [str(videos / 'a/0.mp4')]


def test_names_that_no_list_can_hold(folder: Make, prepare: Prepare, tmp_path: Path) -> None:
    videos = folder({**TWO, 'a/line\nend.mp4': 9})
    os.rename(folder({'a/bytes.mp4': 10}) / 'a/bytes.mp4', os.fsencode(videos) + b'/a/\xff.mp4')
    said = prepare(videos)
    reason = 'has a name that no list can hold; rename it, or use --encode'
    assert f'a/line\\nend.mp4: {reason}' in said and f'a/\\udcff.mp4: {reason}' in said
    assert '6 of 8 can be used' in said
    assert '8 of 8 can be used' in prepare(videos, '--encode')
    assert sum(map(len, read_splits(tmp_path / 'mine').values())) == 8
    assert sum(len(build(tmp_path / 'mine', split)) for split in ('train', 'val', 'test')) == 8


def test_the_config_says_its_rules(folder: Make, prepare: Prepare, tmp_path: Path) -> None:
    many = folder({f'{label}/{i}.mp4': i for label in 'ab' for i in range(11)})
    prepare(many, '--config', 'xclip/k400_b16', '--split', '0.9', '0.1')
    text = (tmp_path / 'mine/config.py').read_text()
    cfg = Config.fromfile(tmp_path / 'mine/config.py')
    assert cfg.train_dataloader.batch_size == 5  # 20 videos in four steps
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(8e-6 * 5 * 4 / 256)
    assert cfg.param_scheduler[1].eta_min == pytest.approx(8e-8 * 5 * 4 / 256)
    assert cfg.auto_scale_lr.base_batch_size == 5 * 4
    assert 'linear in the global batch of 5 x 4 accumulated steps' in text
    assert cfg.work_dir == 'work_dirs/mine' and 'kinetics' not in text
    moved = (tmp_path / 'mine').rename(tmp_path / "it's moved")
    assert len(build(moved, 'val')) == 2


def test_linear_heads_get_the_number_of_classes(
    folder: Make, prepare: Prepare, tmp_path: Path
) -> None:
    prepare(folder(TWO), '--config', 'baselines/divided_space_time/k400_vit_b16')
    cfg = Config.fromfile(tmp_path / 'mine/config.py')
    assert cfg.model.cls_head.num_classes == 2 and not re.search(r'=400\b', cfg.text)


def test_classes_that_differ_in_case_are_for_linear_heads(
    folder: Make, prepare: Prepare, tmp_path: Path
) -> None:
    videos = folder({name.replace('a/', 'B/'): number for name, number in TWO.items()})
    with pytest.raises(ValueError, match="'B' and 'b' are one text to the text tower"):
        prepare(videos, '--keep-names')
    prepare(videos, '--config', 'baselines/divided_space_time/k400_vit_b16')
    assert (tmp_path / 'mine/label_map.txt').read_text() == 'B\nb\n'
