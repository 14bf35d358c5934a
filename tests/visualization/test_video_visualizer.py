from pathlib import Path

import av
import numpy as np
import pytest
import torch
from helpers.videos import frame_number, numbered_frames, write_video
from mmaction.structures import ActionDataSample

from mmstan.datasets.readers import open_video
from mmstan.visualization.video_visualizer import VideoVisualizer, label_lines, write_frames

NAMES = ['run', 'jump', 'sit', 'swim']


def sample() -> ActionDataSample:
    scores = torch.tensor([0.1, 0.6, 0.05, 0.25])
    return ActionDataSample().set_pred_score(scores).set_pred_label(1).set_gt_label(3)


def test_lines() -> None:
    assert label_lines(sample(), NAMES) == ['truth: swim', '0.60 jump', '0.25 swim', '0.10 run']
    assert label_lines(sample(), None, draw_gt=False) == ['0.60 1', '0.25 3', '0.10 0']
    assert label_lines(sample(), NAMES, draw_pred=False) == ['truth: swim']
    assert label_lines(sample(), NAMES[:2], False, draw_score=False) == ['jump', '3', 'run']
    assert label_lines(None, NAMES) == []
    pair = ActionDataSample().set_pred_score(torch.rand(2, 3)).set_pred_label(torch.tensor([1, 2]))
    assert label_lines(pair, NAMES) == ['1, 2']


@pytest.mark.parametrize(('out_type', 'suffix'), [('video', 'mp4'), ('gif', 'gif')])
def test_what_is_written(out_type: str, suffix: str, tmp_path: Path) -> None:
    video = write_video(tmp_path / 'a.avi', numbered_frames(9, 48, 64), codec='mpeg4')
    drawn = VideoVisualizer('a').add_datasample(
        'a', str(video), sample(), out_path=str(tmp_path / 'out/a.avi'), out_type=out_type, fps=5
    )
    assert drawn.shape == (9, 48, 64, 3)
    with av.open(str(tmp_path / f'out/a.{suffix}')) as container:
        assert container.streams.video[0].average_rate == 5
        assert sum(1 for _ in container.decode(video=0)) == 9


def test_frames_keep_their_order_and_colours(tmp_path: Path) -> None:
    frames = numbered_frames(7, 47, 65)
    VideoVisualizer('b').add_datasample(
        'b', frames, None, out_path=str(tmp_path / 'b.mp4'), out_type='video'
    )
    with open_video(tmp_path / 'b.mp4') as video:
        written = video.read(range(7))
    assert {frame.shape for frame in written} == {(48, 66, 3)}  # an odd size is padded
    assert [frame_number(frame[:47, :65]) for frame in written] == list(range(7))
    assert written[0][40, 10, 0] > 150 > written[0][40, 10, 2]  # red on the left


def test_images_and_sizes(tmp_path: Path) -> None:
    frames = numbered_frames(3, 48, 64)
    visualizer = VideoVisualizer('c')
    drawn = visualizer.add_datasample(
        'c', frames, out_path=str(tmp_path / 'c'), target_resolution=(32, -1)
    )
    assert drawn.shape == (3, 24, 32, 3)
    folder = tmp_path / 'c/frames_0'
    assert sorted(path.name for path in folder.iterdir()) == ['0.png', '1.png', '2.png']
    assert visualizer.add_datasample('c', str(folder), out_path=str(tmp_path / 'd')).shape == (
        drawn.shape
    )
    assert np.array_equal(visualizer._load_video(str(folder))[2], drawn[2])


def test_images_of_a_folder_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    frames = numbered_frames(12, 48, 64)
    folder = write_frames(frames, tmp_path, 'img', fps=4)  # 0.png to 11.png
    (folder / 'notes.txt').touch()
    drawn = VideoVisualizer('f').add_datasample('f', str(folder), out_path=str(tmp_path / 'g'))
    assert [frame_number(frame) for frame in drawn] == list(range(12))


def test_a_video_is_not_written_over(tmp_path: Path) -> None:
    video = write_video(tmp_path / 'a.mp4', numbered_frames(3))
    before = video.read_bytes()
    with pytest.raises(ValueError, match='is the video itself'):
        write_frames(numbered_frames(3), video, 'video', fps=4, source=str(video))
    assert video.read_bytes() == before
    with pytest.raises(ValueError, match="out_type='video' needs out_path"):
        VideoVisualizer('e').add_datasample('e', numbered_frames(2), out_type='video')
