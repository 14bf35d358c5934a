import csv
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from helpers.scripts import script
from helpers.videos import frame_number, numbered_frames, write_video
from mmaction.registry import TRANSFORMS
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmstan.datasets import EpicKitchens
from mmstan.datasets.readers import BrokenVideoError
from mmstan.datasets.transforms import find_window
from mmstan.models.heads import read_class_names

FPS = 8
SEGMENTS = dict(type='mmstan.SampleSegments', num_frames=4, test_mode=True)
PIPELINE = [
    dict(type='mmstan.ReadFrames', sampler=dict(type='mmstan.SampleWindow', sampler=SEGMENTS)),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('filename', 'narration_id')),
]
ROW = dict(
    narration_id='P01_01_0',
    participant_id='P01',
    video_id='P01_01',
    start_timestamp='00:00:01.00',
    stop_timestamp='00:00:03.00',
    start_frame='60',
    stop_frame='180',
    verb_class='3',
    noun_class='7',
)


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """The layout of the distribution: P01/videos/P01_01.MP4, five seconds."""
    folder = tmp_path / 'videos'
    for name, extension in (('P01_01', 'MP4'), ('P02_103', 'mp4')):
        participant = folder / name[:3] / 'videos'
        participant.mkdir(parents=True)
        write_video(participant / f'{name}.{extension}', numbered_frames(40), fps=FPS)
    return folder


def build(rows: list[dict[str, Any]], videos: Path, **arguments: Any) -> EpicKitchens:
    ann_file = write_csv(videos.parent / 'EPIC_100_train.csv', rows)
    with DefaultScope.overwrite_default_scope('mmaction'):
        return EpicKitchens(
            str(ann_file), data_prefix=dict(video=str(videos)), pipeline=PIPELINE, **arguments
        )


def shown(sample: dict[str, Any]) -> list[int]:
    """The numbers of the frames in a packed sample."""
    return [frame_number(frame) for frame in sample['inputs'][0].permute(1, 2, 3, 0).numpy()]


@pytest.mark.parametrize('test_mode', [True, False])
def test_segments(test_mode: bool, videos: Path) -> None:
    other = dict(
        ROW,
        narration_id='P02_103_8',
        video_id='P02_103',
        start_timestamp='00:00:00.50',
        stop_timestamp='00:00:01.00',
        verb_class='96',
        noun_class='0',
    )
    dataset = build([ROW, other], videos, test_mode=test_mode)
    first, second = dataset[0], dataset[1]
    assert shown(first) == [10, 14, 18, 22]  # of frames 8 to 23
    assert shown(second) == [4, 5, 6, 7]
    assert first['data_samples'].gt_label.tolist() == [3, 7]
    assert second['data_samples'].gt_label.tolist() == [96, 0]
    assert first['data_samples'].narration_id == 'P01_01_0'
    assert second['data_samples'].filename.endswith('P02_103.mp4')


@pytest.mark.parametrize(
    ('total', 'fps', 'start', 'end', 'expected'),
    [
        (1000, 50.0, 0.14, 3.37, (7, 161)),
        (1000, 59.94, 2.0, 4.0, (120, 120)),
        (40, 8.0, 4.0, 9.0, (32, 8)),  # the video ends early
        (40, 8.0, 1.0, 1.01, (8, 1)),  # shorter than a frame
        (40, 8.0, 4.99, 5.5, (39, 1)),
    ],
)
def test_frames_of_a_window(
    total: int, fps: float, start: float, end: float, expected: tuple[int, int]
) -> None:
    assert find_window(total, fps, start, end) == expected


def test_random_frames_stay_in_the_window() -> None:
    sampler = dict(type='mmstan.SampleWindow', sampler=dict(SEGMENTS, test_mode=False, num_clips=3))
    transform = TRANSFORMS.build(sampler)
    drawn = []
    for _ in range(50):
        video = dict(total_frames=400, avg_fps=8.0, start_seconds=10.0, end_seconds=12.0)
        results = transform(video)
        drawn += results['frame_inds'].tolist()
        assert (results['total_frames'], results['start_index']) == (400, 0)
        assert (results['num_clips'], results['clip_len']) == (3, 4)
    assert set(drawn) == set(range(80, 96))


def test_stock_samplers_in_a_window() -> None:
    stock = dict(type='SampleFrames', clip_len=4, frame_interval=2, num_clips=1, test_mode=True)
    with DefaultScope.overwrite_default_scope('mmaction'):
        transform = TRANSFORMS.build(dict(type='mmstan.SampleWindow', sampler=stock))
    video = dict(total_frames=400, avg_fps=8.0, start_seconds=10.0, end_seconds=12.0, start_index=1)
    indices = transform(video)['frame_inds']
    assert indices.min() >= 81 and indices.max() <= 96
    assert np.diff(indices).tolist() == [2, 2, 2]


def test_segments_after_the_end_of_the_video(videos: Path) -> None:
    late = dict(ROW, start_timestamp='00:00:06.00', stop_timestamp='00:00:07.00')
    with pytest.raises(BrokenVideoError, match=r'P01_01\.MP4: ends at 5\.00 s, before its segment'):
        build([ROW, late], videos, test_mode=True)[1]
    blank = build([ROW, late], videos, test_mode=True, skip_broken=True)[1]
    assert not blank['inputs'].any()
    assert blank['data_samples'].broken[0][1].startswith('ends at')


@pytest.mark.parametrize('skip_broken', [False, True])
def test_a_part_is_not_sampled_as_a_whole_video(skip_broken: bool, videos: Path) -> None:
    dataset = build([ROW], videos, test_mode=True, skip_broken=skip_broken)
    with DefaultScope.overwrite_default_scope('mmaction'):
        dataset.pipeline.transforms[0] = TRANSFORMS.build(
            dict(type='mmstan.ReadFrames', sampler=SEGMENTS)
        )
    message = r'a part of .*P01_01\.MP4 \(start_seconds=1.0\), and SampleSegments samples whole'
    with pytest.raises(ValueError, match=message):
        dataset[0]


@pytest.mark.parametrize(
    ('changes', 'problem'),
    [
        (dict(stop_timestamp='soon'), "the time 'soon' is not as 01:02:03.45"),
        (dict(stop_timestamp='00:00:nan'), "the time '00:00:nan' is not as"),
        (dict(stop_timestamp='00:00:01.00'), 'it ends at 1.0 s, and starts at 1.0 s'),
        (dict(verb_class=''), "the class '' is not a whole number from 0 on"),
        (dict(verb_class='3.0'), "the class '3.0' is not a whole number"),
        (dict(noun_class='-1'), "the class '-1' is not a whole number"),
    ],
)
def test_rows_that_are_no_segments(changes: dict[str, str], problem: str, videos: Path) -> None:
    message = rf'train\.csv.*, line 3: the row is no segment with a verb and a noun: {problem}'
    with pytest.raises(ValueError, match=message):
        build([ROW, dict(ROW, **changes)], videos)


def test_the_test_set_has_no_labels(videos: Path) -> None:
    row = {key: value for key, value in ROW.items() if not key.endswith('_class')}
    with pytest.raises(ValueError, match=r'but lacks verb_class, noun_class: '):
        build([row], videos)


def test_missing_videos(videos: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^1 of the 2 videos .*among them \['P03_02'\]"):
        build([ROW, dict(ROW, video_id='P03_02')], videos)
    with pytest.raises(FileNotFoundError, match=r'nowhere.* is not a folder'):
        build([ROW], videos.parent / 'nowhere')


def test_several_files_of_a_video_are_pointed_out(videos: Path, tmp_path: Path) -> None:
    MMLogger.get_instance('epic', log_file=tmp_path / 'log')
    build([ROW], videos)
    assert 'several files' not in (tmp_path / 'log').read_text()
    (videos / 'P01/a').mkdir()
    (videos / 'P01/a/P01_01.mp4').touch()
    assert build([ROW], videos).get_data_info(0)['filename'].endswith('P01/a/P01_01.mp4')
    said = (tmp_path / 'log').read_text()
    assert '1 of 1 videos have several files in' in said
    assert 'the first is taken, e.g. for P01_01 of [' in said


# --- names of the classes ---


@pytest.fixture
def tool() -> ModuleType:
    return script('data/epic_kitchens')


def classes(folder: Path, nouns: list[tuple[int, str]]) -> None:
    verbs = [(0, 'take'), (1, 'turn-on')]
    for kind, rows in (('verb', verbs), ('noun', nouns)):
        named = [dict(id=i, key=key, instances="['x', 'y']", category='z') for i, key in rows]
        write_csv(folder / f'EPIC_100_{kind}_classes.csv', named)


def test_names_become_words(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes(tmp_path, [(1, 'board:chopping'), (0, 'tap'), (2, 'maker:coffee:machine')])
    monkeypatch.setattr(sys, 'argv', ['epic_kitchens.py', str(tmp_path)])
    tool.main()
    assert read_class_names(str(tmp_path / 'verbs.txt')) == ['take', 'turn on']
    nouns = read_class_names(str(tmp_path / 'nouns.txt'))
    assert nouns == ['tap', 'chopping board', 'machine coffee maker']


def test_names_that_are_not_all_there(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, 'argv', ['epic_kitchens.py', str(tmp_path)])
    with pytest.raises(SystemExit, match=r'^error: .*EPIC_100_verb_classes\.csv'):
        tool.main()
    classes(tmp_path, [(0, 'tap'), (2, 'spoon')])
    with pytest.raises(SystemExit, match=r'noun_classes\.csv: the ids must be 0 to 1, each once'):
        tool.main()
