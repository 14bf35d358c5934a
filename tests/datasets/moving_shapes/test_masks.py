from pathlib import Path

import numpy as np

from mmstan.datasets.moving_shapes.masks import find_colored_pixels, is_of_moving_shapes
from mmstan.datasets.moving_shapes.scenes import COLORS


def test_colors_are_covered_and_greys_are_not() -> None:
    """White is a grey, too."""
    colors = np.array([*COLORS.values(), (0, 0, 0), (93, 93, 93)], np.uint8)[None, None]
    covered = find_colored_pixels(colors)[0, 0]
    assert covered.tolist() == [name != 'white' for name in COLORS] + [False, False]


def test_videos_of_the_generator_are_known(moving_shapes: Path) -> None:
    folder = moving_shapes / 'recognition/test'
    assert is_of_moving_shapes(folder / '000003.mp4')
    assert not is_of_moving_shapes(folder / '999999.mp4')
    assert not is_of_moving_shapes('clip.mp4')
