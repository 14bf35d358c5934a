import runpy
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
from mmengine.config import Config

from mmstan.config.checks import find_missing_data
from mmstan.datasets.moving_shapes.pairs import is_unseen, label_pairs, list_pairs, write_pairs
from mmstan.datasets.moving_shapes.render import plan_clips
from mmstan.datasets.moving_shapes.scenes import CLASS_NAMES, MOTIONS, SHAPES
from mmstan.evaluation import split_configs

PROJECT = Path(__file__).parents[3]


def test_what_is_kept_from_training() -> None:
    unseen = [(shape, motion) for shape in SHAPES for motion in MOTIONS if is_unseen(shape, motion)]
    of_shape = Counter(shape for shape, _ in unseen)
    of_motion = Counter(motion for _, motion in unseen)
    assert set(of_shape.values()) == {2, 4}  # two or three of the four axes are seen
    assert of_shape.keys() == set(SHAPES)
    assert of_motion == dict.fromkeys(MOTIONS, 2)  # three of five shapes show it in training
    axes = Counter((shape, MOTIONS.index(motion) // 2) for shape, motion in unseen)
    assert set(axes.values()) == {2}  # or a seen shape and axis would tell the direction
    # Who knows one of the two only is right for one of the pairs that share it.
    assert (len(of_motion) / len(unseen), len(of_shape) / len(unseen)) == (8 / 16, 5 / 16)


def test_names() -> None:
    seen, unseen = list_pairs(unseen=False), list_pairs(unseen=True)
    every = {f'{shape} {name}' for shape in SHAPES for name in CLASS_NAMES}
    assert (len(seen), len(unseen)) == (24, 16)
    assert {*seen, *unseen} == every and len(every) == 40


@pytest.mark.parametrize('unseen', [False, True])
def test_lines_name_what_is_shown(unseen: bool) -> None:
    events = {
        clip.filename: clip.events[0] for clip in plan_clips('recognition', 'small', 'test', 0)
    }
    scenes = {
        name: [dict(shape=event.shape, motion=MOTIONS[event.motion])]
        for name, event in events.items()
    }
    names, lines = list_pairs(unseen=unseen), label_pairs(scenes, unseen=unseen)
    for line in lines:
        path, label = line.split()
        event = events[path]
        assert names[int(label)] == f'{event.shape} {CLASS_NAMES[event.motion]}'
        assert is_unseen(event.shape, MOTIONS[event.motion]) == unseen
    assert len({line.split()[1] for line in lines}) == len(names)
    assert len(lines) == sum(
        is_unseen(e.shape, MOTIONS[e.motion]) == unseen for e in events.values()
    )


@pytest.fixture
def shapes(moving_shapes: Path, tmp_path: Path) -> Path:
    """A copy of the recognition task, to write into."""
    return Path(shutil.copytree(moving_shapes / 'recognition', tmp_path / 'recognition'))


def test_files(shapes: Path) -> None:
    out = write_pairs(shapes)
    lines = {path.stem: path.read_text().splitlines() for path in out.iterdir()}
    videos = {stem: {line.split()[0] for line in of_file} for stem, of_file in lines.items()}
    parts = [videos[f'unseen_{i}'] for i in (1, 2, 3)]
    kept = videos['train'] | videos['test'] | set.union(*parts)
    assert sum(map(len, parts)) + len(videos['train'] | videos['test']) == len(kept) == 48 + 16
    assert not videos['train'] & videos['test']
    assert all((shapes / video).is_file() for video in kept)
    assert {video.split('/')[0] for video in videos['train']} == {'train'}


def test_tool_writes_what_the_config_reads(
    moving_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(moving_shapes / 'recognition', tmp_path / 'tiny/recognition')
    monkeypatch.setattr(sys, 'argv', ['tool', '--size', 'tiny', '--out', str(tmp_path)])
    runpy.run_path(str(PROJECT / 'tools/data/moving_shapes_pairs.py'), run_name='__main__')
    text = (PROJECT / 'configs/quickstart/xclip_zero_shot.py').read_text()
    assert 'tools/data/moving_shapes_pairs.py' in text
    cfg = Config.fromfile(PROJECT / 'configs/quickstart/xclip_zero_shot.py')
    (tmp_path / 'data/moving_shapes').mkdir(parents=True)
    (tmp_path / 'data/moving_shapes/small').symlink_to(tmp_path / 'tiny')
    monkeypatch.chdir(tmp_path)
    assert not list(find_missing_data(cfg, ('train', 'val', 'test')))
    splits = split_configs(cfg)
    assert len(splits) == 3
    for split in splits.values():
        assert not list(find_missing_data(split, ('test',)))
        assert split.model.cls_head.class_names.endswith('pairs/unseen_classes.txt')
