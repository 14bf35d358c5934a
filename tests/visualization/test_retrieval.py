from pathlib import Path

import av
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmstan.visualization import (
    Hit,
    draw_frame_weights,
    draw_hit,
    draw_mug_weights,
    draw_retrieved,
    draw_word_weights,
)

GREEN = np.zeros((4, 32, 32, 3), np.uint8)
GREEN[..., 1] = 255  # a colour that nothing else in the pictures has


@pytest.fixture
def axes() -> Axes:
    return Figure().add_subplot()


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def green_bands(path: Path) -> int:
    """How many bands of green lie below each other in a picture."""
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0)).to_ndarray(format='rgb24').astype(int)
    green = (picture[..., 1] > 250) & (picture[..., 0] < 5) & (picture[..., 2] < 5)
    return int((np.diff(green.any(axis=1).astype(int)) == 1).sum())


@pytest.mark.parametrize('hits', [1, 5])
@pytest.mark.parametrize('query', ['a cat', 'it costs $5, or $x_{ more', 'word ' * 90])
def test_a_strip_for_every_hit(hits: int, query: str, tmp_path: Path) -> None:
    found = [Hit(GREEN, f'${i}_$.mp4', i + 1, 0.5, truth=i == 0) for i in range(hits)]
    draw_retrieved(tmp_path / 'found.png', query, found)
    assert green_bands(tmp_path / 'found.png') == hits


@pytest.mark.parametrize('truth', [False, True])
def test_a_hit_says_what_it_is(truth: bool, axes: Axes) -> None:
    draw_hit(axes, Hit(GREEN, 'video7', 3, 0.12345, truth=truth))
    name, score = texts(axes)
    assert name == '3. video7'
    assert score.split('\n') == ['0.123', *['ground truth'][: int(truth)]]
    assert axes.images[0].get_array().shape == (34, 4 * 34, 3)  # frames with a line around


def test_the_true_hit_has_another_colour() -> None:
    colors = []
    for truth in (True, False):
        axes = Figure().add_subplot()
        draw_hit(axes, Hit(GREEN, 'v', 1, 0.5, truth=truth))
        colors.append({text.get_color() for text in axes.texts})
    assert [len(color) for color in colors] == [1, 1]
    assert colors[0] != colors[1]


def test_bars_stand_on_their_frames(axes: Axes) -> None:
    weights = np.array([0.1, 0.6, 0.3, 0.0])
    draw_frame_weights(axes, GREEN, weights)
    heights = np.array([bar.get_height() for bar in axes.patches])
    np.testing.assert_allclose(heights / heights.sum(), weights)
    middles = [bar.get_x() + bar.get_width() / 2 for bar in axes.patches]
    np.testing.assert_allclose(middles, [17, 51, 85, 119])  # frames are 34 wide
    assert texts(axes) == ['0.10', '0.60', '0.30', '0.00']
    bottom, top = axes.get_ylim()
    assert bottom == 34 and top < heights.min() < 0  # y points down, and all bars are seen


def test_every_word_has_its_bar(axes: Axes) -> None:
    draw_word_weights(axes, ['a', '$5', 'bill'], np.array([0.2, 0.5, 0.3]))
    assert [label.get_text() for label in axes.get_xticklabels()] == ['a', '$5', 'bill']
    assert [bar.get_height() for bar in axes.patches] == [0.2, 0.5, 0.3]


@pytest.mark.parametrize('frames', [1, 4, 64])
def test_mug_weights(frames: int, tmp_path: Path) -> None:
    film = np.repeat(GREEN[:1], frames, axis=0)
    even = np.full(frames, 1 / frames)
    path = tmp_path / 'pair.png'
    draw_mug_weights(path, film, even, ['a', 'cat'], np.array([0.1, 0.9]), title='a cat for $5')
    assert green_bands(path) == 1


@pytest.mark.parametrize(
    ('frame_weights', 'word_weights', 'problem'),
    [
        (5, 2, r'frame_weights has 5 weights for 4; leave out those of padding'),
        (4, 3, r'word_weights has 3 weights for 2; leave out those of padding'),
    ],
)
def test_weights_of_padding(
    frame_weights: int, word_weights: int, problem: str, tmp_path: Path
) -> None:
    u, w = np.ones(frame_weights), np.ones(word_weights)
    with pytest.raises(ValueError, match=problem):
        draw_mug_weights(tmp_path / 'pair.png', GREEN, u, ['a', 'cat'], w)
