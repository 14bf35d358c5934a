from pathlib import Path

import numpy as np
import pytest

from mmstan.visualization import draw_confusions, list_confusions


def test_classes_without_videos_are_no_confusions() -> None:
    assert list_confusions(np.zeros((3, 3), int), most=5) == []
    assert list_confusions(np.diag([4, 0, 2]), most=5) == []


def test_only_the_worst_are_listed() -> None:
    matrix = np.array([[0, 1, 2], [3, 0, 4], [5, 6, 0]])
    assert [pair.videos for pair in list_confusions(matrix, most=3)] == [6, 5, 4]


@pytest.mark.parametrize('classes', [2, 60])
def test_a_picture_of_few_and_of_many_classes(tmp_path: Path, classes: int) -> None:
    names = [str(i) for i in range(classes)]
    draw_confusions(tmp_path / 'a.png', np.eye(classes, dtype=int), names, title='run')
    assert (tmp_path / 'a.png').stat().st_size > 1000
