from pathlib import Path

import av
import numpy as np
import pytest

from mmstan.visualization import Strip, count_confusions, draw_recognition


def test_confusion_matrix() -> None:
    truth, predicted = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 0, 2, 2])
    matrix = count_confusions(truth, predicted, classes=4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize('models', [('one',), ('one', 'two')])
def test_report_is_a_picture_with_all_strips(models: tuple[str, ...], tmp_path: Path) -> None:
    names = ['left', 'right']
    frames = np.zeros((4, 32, 32, 3), np.uint8)
    frames[..., 1] = 255  # a colour that nothing else in the picture has
    strips = [Strip(frames, name, dict.fromkeys(models, 'left')) for name in names]
    matrices = {model: np.array([[1, 0], [1, 0]]) for model in models}
    draw_recognition(tmp_path / 'report.png', strips, matrices, names)
    with av.open(str(tmp_path / 'report.png')) as container:
        picture = next(container.decode(video=0)).to_ndarray(format='rgb24').astype(int)
    green = (picture[..., 1] > 250) & (picture[..., 0] < 5) & (picture[..., 2] < 5)
    rows = green.any(axis=1).astype(int)
    assert (np.diff(rows) == 1).sum() == len(strips)  # one band of green a strip
