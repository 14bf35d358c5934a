"""Boxes, times and labels that cannot belong together are refused before training begins."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.ava_files import BOXES, dataset_config, write_files, write_videos
from torch import nn

from mmstan.datasets import AVADataset
from mmstan.datasets.transforms.sample_keyframe import find_key_frame
from mmstan.engine import detection_data
from mmstan.engine.detection_data import check_detection_data


@pytest.fixture(scope='module')
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videos(tmp_path_factory.mktemp('videos'), (0.25, 0.25, 0.5, 0.75))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lines of the log."""
    lines: list[str] = []
    monkeypatch.setattr(detection_data, 'print_log', lambda text, *_, **__: lines.append(text))
    return lines


def make_loop(train: Any, val: Any = None, *, classes: int = 4) -> Any:
    """A loop as the check sees it, with a model of ``classes`` columns."""
    model = nn.Module()
    model.roi_head = nn.Module()
    model.roi_head.bbox_head = nn.Module()
    model.roi_head.bbox_head.fc_cls = nn.Linear(2, classes)
    loaders = [SimpleNamespace(dataset=data) for data in (train, val)]
    val_loop = SimpleNamespace(dataloader=loaders[1]) if val is not None else None
    return SimpleNamespace(
        dataloader=loaders[0], runner=SimpleNamespace(model=model, val_loop=val_loop)
    )


def make_data(tmp_path: Path, videos: Path, *, boxes: str = BOXES, **changes: Any) -> AVADataset:
    config = dataset_config(tmp_path, videos, **changes)
    write_files(tmp_path, boxes=boxes)
    return AVADataset(**config)


def refused(loop: Any) -> str:
    with pytest.raises(ValueError) as error:
        check_detection_data(loop)
    assert '\n' not in str(error.value)
    return str(error.value)


def test_the_share_of_key_frames_with_a_person_box(
    tmp_path: Path, videos: Path, said: list[str]
) -> None:
    moved = BOXES.replace('b,2,0.1,0.1,0.4,0.9', 'b,2,0.5,0.1,0.8,0.9')
    check_detection_data(make_loop(make_data(tmp_path, videos, boxes=moved)))
    (line,) = said
    assert 'boxes.csv: 2 of 3 key frames (66.7%) have a person box that overlaps an ann' in line


def test_data_in_wrappers_and_of_validation_are_checked(
    tmp_path: Path, videos: Path, said: list[str]
) -> None:
    data = make_data(tmp_path, videos)
    wrapped = SimpleNamespace(datasets=[SimpleNamespace(dataset=data), object()])
    check_detection_data(make_loop(wrapped, data))
    assert len(said) == 2


def test_another_number_of_classes(tmp_path: Path, videos: Path) -> None:
    message = refused(make_loop(make_data(tmp_path, videos), classes=81))
    assert message.startswith('the model has num_classes=81 (roi_head.bbox_head), and the data set')
    assert message.endswith('num_classes=4: both are the largest action id and 1')


@pytest.mark.parametrize(('start', 'shown'), [(900, '900 to 904'), (2, '2 to 6')])
def test_times_outside_the_videos(tmp_path: Path, videos: Path, start: int, shown: str) -> None:
    message = refused(make_loop(make_data(tmp_path, videos, timestamp_start=start)))
    assert message.startswith(f'ann_file={str(tmp_path / "truth.csv")!r}, line 1: second 1 is not')
    assert f'{videos / "a.mp4"}, which shows seconds {shown}' in message


def test_times_after_the_end(tmp_path: Path, videos: Path) -> None:
    config = dataset_config(tmp_path, videos)
    write_files(tmp_path, truth='a,1,0,0,1,1,1,0\na,60,0,0,1,1,1,0\n')
    assert 'line 2: second 60 is not in' in refused(make_loop(AVADataset(**config)))


@pytest.mark.parametrize(('second', 'fits'), [(4.9, True), (5.1, False)])
def test_training_begins_with_key_frames_that_can_be_read(
    tmp_path: Path, videos: Path, said: list[str], second: float, fits: bool
) -> None:
    """The check and the pipeline have one rule: up to a second after the end (4 s)."""
    config = dataset_config(tmp_path, videos, proposal_file=None)
    write_files(tmp_path, truth=f'a,1,0,0,1,1,1,0\na,{second},0,0,1,1,1,0\n')
    data = AVADataset(**config)
    place = dict(total_frames=32, avg_fps=8.0, timestamp=second)
    if fits:
        check_detection_data(make_loop(data))
        assert find_key_frame(place) == 31
        return
    assert f'second {second} is not in' in refused(make_loop(data))
    with pytest.raises(ValueError, match=f'second {second} is not in'):
        find_key_frame(place)


def test_broken_videos_are_left_to_the_reader(
    tmp_path: Path, videos: Path, said: list[str]
) -> None:
    folder = tmp_path / 'broken'
    folder.mkdir()
    (folder / 'a.mp4').write_bytes((videos / 'a.mp4').read_bytes())
    (folder / 'b.mp4').write_bytes(b'no video')
    check_detection_data(make_loop(make_data(tmp_path, folder)))


@pytest.mark.parametrize(
    ('boxes', 'message'),
    [
        ('a,1,0.6,0.7,0.9,0.9,0.95\n', 'x1,y1,x2,y2: were they made of the same videos?'),
        ('a,0,0.25,0.25,0.5,0.75,0.95\n', 'boxes at other key frames; is it of the same split?'),
    ],
)
def test_person_boxes_that_fit_nowhere(
    tmp_path: Path, videos: Path, boxes: str, message: str
) -> None:
    said = refused(make_loop(make_data(tmp_path, videos, boxes=boxes)))
    assert 'boxes.csv: 0 of 3 key frames (0.0%) have a person box' in said
    assert said.endswith(message)


def test_without_person_boxes_nothing_is_said(
    tmp_path: Path, videos: Path, said: list[str]
) -> None:
    check_detection_data(make_loop(make_data(tmp_path, videos, proposal_file=None)))
    assert not said
