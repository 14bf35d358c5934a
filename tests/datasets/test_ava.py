"""AVADataset: from files as users have them to packed samples whose boxes are on the picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.ava_files import BOXES, TRUTH, dataset_config, write_files, write_videos
from mmengine.registry import init_default_scope

from mmstan.datasets import AVADataset

pytestmark = pytest.mark.usefixtures('scope')
BOX = (0.25, 0.25, 0.5, 0.75)


@pytest.fixture
def scope() -> None:
    init_default_scope('mmaction')


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lines of the log."""
    lines: list[str] = []
    monkeypatch.setattr('mmstan.datasets.ava.print_log', lambda text, **_: lines.append(text))
    return lines


@pytest.fixture(scope='module')
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videos(tmp_path_factory.mktemp('videos'), BOX)


def read(seconds: float = 1.0, *, test: bool) -> dict[str, Any]:
    sampler = dict(type='mmstan.SampleKeyframe', num_frames=4, seconds=seconds, test_mode=test)
    return dict(type='mmstan.ReadFrames', sampler=sampler)


PACK = [
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', algorithm_keys=('scores',)),
]
TRAIN = [
    read(test=False),
    dict(type='RandomRescale', scale_range=(40, 64)),
    dict(type='RandomCrop', size=40),
    dict(type='Flip', flip_ratio=0.5),
    *PACK,
]
TEST = [read(test=True), dict(type='mmstan.ResizeToGrid', short=64, patch=16), *PACK]


def refused(error: type[Exception], *args: Any, **arguments: Any) -> str:
    with pytest.raises(error) as raised:
        AVADataset(**dataset_config(*args, **arguments))
    assert '\n' not in str(raised.value)
    return str(raised.value)


def test_key_frames_of_the_files(tmp_path: Path, videos: Path) -> None:
    data = AVADataset(**dataset_config(tmp_path, videos))
    assert [data[i]['img_key'] for i in range(len(data))] == ['a,0001', 'a,0003', 'b,0002']
    first = data[0]
    assert first['filename'] == str(videos / 'a.mp4')
    assert data[2]['filename'] == str(videos / 'b.avi')
    assert first['gt_labels'].tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
    assert first['entity_ids'].tolist() == [7, 8]
    np.testing.assert_allclose(first['gt_bboxes'], [BOX, (0.6, 0.2, 0.9, 0.6)])
    np.testing.assert_allclose(first['proposals'], [BOX, (0.6, 0.2, 0.9, 0.7)])
    assert first['scores'].tolist() == pytest.approx([0.99, 0.95])
    # No box of this key frame has 0.9: the best one stays.
    assert data[1]['scores'].tolist() == pytest.approx([0.6])


def test_a_threshold_of_ones_own(tmp_path: Path, videos: Path) -> None:
    data = AVADataset(**dataset_config(tmp_path, videos, person_det_score_thr=0.5))
    assert [len(data[i]['proposals']) for i in range(3)] == [3, 1, 1]


@pytest.mark.parametrize('seed', range(8))
def test_boxes_stay_on_the_shape_in_training(tmp_path: Path, videos: Path, seed: int) -> None:
    np.random.seed(seed)
    data = AVADataset(**dataset_config(tmp_path, videos, pipeline=TRAIN))
    sample = data[0]
    frames, found = sample['inputs'], sample['data_samples']
    assert frames.shape == (3, 4, 40, 40)
    assert found.gt_instances.labels.tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]  # one row a box
    assert found.gt_instances.bboxes.shape == found.proposals.bboxes.shape == (2, 4)
    check_red(frames, found.gt_instances.bboxes[0])
    check_red(frames, found.proposals.bboxes[0])
    assert found.scores.tolist() == pytest.approx([0.99, 0.95])


def test_boxes_stay_on_the_shape_in_a_test(tmp_path: Path, videos: Path) -> None:
    data = AVADataset(**dataset_config(tmp_path, videos, pipeline=TEST, test_mode=True))
    sample = data[2]
    assert sample['inputs'].shape == (3, 4, 64, 112)  # 80 x 48: 106.7 becomes 7 patches
    found = sample['data_samples']
    assert found.img_shape == (64, 112)
    assert (found.video_id, found.timestamp) == ('b', 2)
    np.testing.assert_allclose(found.proposals.bboxes[0], np.array([11.2, 6.4, 44.8, 57.6]), 1e-5)
    check_red(data[0]['inputs'], data[0]['data_samples'].gt_instances.bboxes[0])


def check_red(frames: torch.Tensor, box: torch.Tensor) -> None:
    """The box encloses the red pixels of frames (3, T, H, W), up to a pixel of blur."""
    for frame in frames.unbind(1):
        red = frame[0].int() > frame[2].int()
        if not red.any():  # cropped away: the box is empty too
            assert min(box[2] - box[0], box[3] - box[1]) <= 1
            return
        rows, columns = red.any(1).nonzero().flatten(), red.any(0).nonzero().flatten()
        edges = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        assert (edges - box).abs().max() < 1.6


def test_ground_truth_boxes_in_a_test_are_asked_for(tmp_path: Path, videos: Path) -> None:
    message = refused(ValueError, tmp_path, videos, proposal_file=None, test_mode=True)
    assert message.startswith('proposal_file=None: a test classifies boxes of detected persons')
    assert 'tools/data/detect_persons.py' in message and "test_boxes='ground_truth'" in message
    arguments = dict(test_boxes='ground_truth', test_mode=True)
    data = AVADataset(**dataset_config(tmp_path, videos, proposal_file=None, **arguments))
    np.testing.assert_array_equal(data[0]['proposals'], data[0]['gt_bboxes'])
    assert data[0]['scores'].tolist() == [1, 1]
    assert data.metainfo['test_boxes'] == 'ground_truth'
    assert 'remove one of the two' in refused(ValueError, tmp_path, videos, **arguments)


def test_training_on_ground_truth_alone(tmp_path: Path, videos: Path) -> None:
    data = AVADataset(**dataset_config(tmp_path, videos, proposal_file=None))
    assert 'proposals' not in data[0]


def test_a_missing_proposal_file_names_tool_and_option(tmp_path: Path, videos: Path) -> None:
    message = refused(FileNotFoundError, tmp_path, videos, proposal_file='no.pkl')
    assert message.startswith("proposal_file='no.pkl' does not exist; tools/data/detect_persons.py")
    assert "test_boxes='ground_truth'" in message


def test_key_frames_of_the_proposals(tmp_path: Path, videos: Path) -> None:
    boxes = write_files(tmp_path, boxes=BOXES + 'b,0,0.1,0.1,0.2,0.2,0.3\n')['boxes']
    config = dataset_config(tmp_path / '..', videos, test_mode=True, keyframes='proposals')
    data = AVADataset(**config | dict(proposal_file=boxes))
    keys = [data[i]['img_key'] for i in range(len(data))]
    assert keys == ['a,0001', 'a,0003', 'b,0002', 'b,0000']
    assert data[3]['gt_bboxes'].shape == (0, 4) and data[3]['gt_labels'].shape == (0, 4)
    assert len(data[3]['proposals']) == 1
    message = refused(ValueError, tmp_path, videos, keyframes='proposals')
    assert 'is for a test' in message


def test_key_frames_without_a_box_predict_nothing(
    tmp_path: Path, videos: Path, said: list[str]
) -> None:
    config = dataset_config(tmp_path, videos, test_mode=True, pipeline=TEST)
    write_files(tmp_path, boxes=BOXES.replace('b,2,', 'b,1,'))
    data = AVADataset(**config)
    assert data[2]['data_samples'].proposals.bboxes.shape == (0, 4)
    assert said[-1].endswith(
        'boxes.csv has no box at 1 key frame (b,0002); nothing is predicted there'
    )


def test_excluded_key_frames(tmp_path: Path, videos: Path) -> None:
    (tmp_path / 'excluded.csv').write_text('a,0003\n')
    config = dataset_config(tmp_path, videos, exclude_file=str(tmp_path / 'excluded.csv'))
    data = AVADataset(**config)
    assert [data[i]['img_key'] for i in range(len(data))] == ['a,0001', 'b,0002']


def test_custom_classes(tmp_path: Path, videos: Path) -> None:
    data = AVADataset(**dataset_config(tmp_path, videos, custom_classes=[3, 1], num_classes=3))
    assert [data[i]['img_key'] for i in range(len(data))] == ['a,0001', 'b,0002']
    assert data[0]['gt_labels'].tolist() == [[0, 1, 1]]  # the other person does neither
    message = refused(ValueError, tmp_path, videos, custom_classes=[3, 5], num_classes=3)
    assert message == 'custom_classes=[3, 5]: 5 is not in the label map, which has 1, 2, 3'


def test_missing_videos_are_one_line(tmp_path: Path, videos: Path, said: list[str]) -> None:
    config = dataset_config(tmp_path, videos)
    write_files(tmp_path, truth=TRUTH + 'c,1,0,0,1,1,1,0\nc,2,0,0,1,1,1,0\nd,2,0,0,1,1,1,0\n')
    data = AVADataset(**config)
    assert len(data) == 3
    (line,) = [x for x in said if 'have no file' in x]
    assert '2 of 4 videos' in line and '(c, d), with 3 key frames; they are left out' in line


def test_all_videos_missing(tmp_path: Path) -> None:
    (tmp_path / 'empty').mkdir()
    message = refused(FileNotFoundError, tmp_path, tmp_path / 'empty')
    assert "has none of the 2 videos: wanted ['a', 'b']" in message


def test_paths_are_relative_to_data_root(tmp_path: Path, videos: Path) -> None:
    config = dataset_config(tmp_path, videos)
    for name in ('ann_file', 'label_file', 'proposal_file'):
        config[name] = Path(config[name]).name
    assert len(AVADataset(**config, data_root=str(tmp_path))) == 3


@pytest.mark.parametrize(
    'transform',
    [
        dict(type='CenterCrop', crop_size=32),
        dict(type='RandomResizedCrop'),
        dict(type='ThreeCrop', crop_size=32),
        dict(type='Flip', flip_ratio=0.5),
    ],
)
def test_a_test_that_moves_boxes_is_refused(
    tmp_path: Path, videos: Path, transform: dict[str, Any]
) -> None:
    message = refused(ValueError, tmp_path, videos, pipeline=[transform], test_mode=True)
    assert f'the test pipeline has {transform["type"]}' in message
    assert 'use mmstan.ResizeToGrid' in message


def test_a_time_outside_the_video_names_the_line(tmp_path: Path, videos: Path) -> None:
    data = AVADataset(**dataset_config(tmp_path, videos, timestamp_start=2, pipeline=TEST))
    with pytest.raises(ValueError) as error:
        data[0]
    message = str(error.value)
    assert message.startswith(f'ann_file={str(tmp_path / "truth.csv")!r}, line 1: second 1 is not')
    assert 'which shows seconds 2 to 6: timestamp_start=2 is the second at which' in message


def test_a_broken_video_is_replaced_or_left_black(tmp_path: Path, videos: Path) -> None:
    folder = tmp_path / 'broken'
    folder.mkdir()
    (folder / 'a.mp4').write_bytes((videos / 'a.mp4').read_bytes())
    (folder / 'b.mp4').write_bytes(b'no video')
    data = AVADataset(**dataset_config(tmp_path, folder, pipeline=TRAIN))
    replaced = data[2]['data_samples']
    assert replaced.video_id == 'a' and replaced.broken[0][0] == str(folder / 'b.mp4')
    config = dataset_config(tmp_path, folder, pipeline=TEST, test_mode=True, skip_broken=True)
    black = AVADataset(**config)[2]
    assert not black['inputs'].any() and black['data_samples'].broken


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(person_det_score_thr=90), 'person_det_score_thr=90 must be in [0, 1]'),
        (dict(keyframes='all'), "keyframes='all' must be one of 'annotated', 'proposals'"),
        (dict(test_boxes='gt'), "test_boxes='gt' must be one of 'proposals', 'ground_truth'"),
        (dict(num_classes=3), 'line 2: the action 3 is none of 1 to 2; num_classes is the largest'),
    ],
)
def test_wrong_arguments(
    tmp_path: Path, videos: Path, arguments: dict[str, Any], message: str
) -> None:
    assert message in refused(ValueError, tmp_path, videos, **arguments)
