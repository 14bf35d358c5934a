from pathlib import Path

import numpy as np
import pytest
import torch

from mmstan.visualization import draw_activations, draw_overlay, map_activations
from mmstan.visualization.activation import covered


def test_maps_are_the_lengths_of_the_tokens() -> None:
    tokens = torch.randn(3, 8, 5)
    maps = map_activations(tokens, (2, 4))
    assert maps.shape == (3, 2, 4)
    assert (maps.min(), maps.max()) == (0, 1)  # of the video, not of a frame
    lengths = (tokens**2).sum(-1).sqrt().reshape(3, 2, 4)
    for t, row, column in ((0, 0, 1), (1, 1, 3), (2, 1, 0)):
        place = (lengths[t, row, column] - lengths.min()) / (lengths.max() - lengths.min())
        torch.testing.assert_close(maps[t, row, column], place)
    torch.testing.assert_close(map_activations(7 * tokens, (2, 4)), maps)


def test_equal_tokens_have_no_map() -> None:
    assert not map_activations(torch.ones(2, 4, 3), (2, 2)).any()


def test_overlay() -> None:
    frames = np.full((2, 16, 32, 3), 100, np.uint8)
    maps = torch.zeros(2, 2, 4)
    maps[1, 1, 3] = 1
    shown = draw_overlay(frames, maps)
    assert shown.shape == frames.shape and shown.dtype == np.uint8
    quiet, active = shown[0, 0, 0], shown[1, -1, -1]
    np.testing.assert_array_equal(shown[0], np.broadcast_to(quiet, (16, 32, 3)))
    assert (active != quiet).any()
    np.testing.assert_array_equal(shown[1, 0, 0], quiet)
    np.testing.assert_array_equal(draw_overlay(frames, maps, opacity=0), frames)


def test_frames_that_a_layer_does_not_see_are_white() -> None:
    frames = np.full((6, 8, 8, 3), 100, np.uint8)
    film = covered(frames, torch.zeros(3, 2, 2))
    assert (film[1::2] == 255).all()
    np.testing.assert_array_equal(film[::2], draw_overlay(frames[::2], torch.zeros(3, 2, 2)))
    for count in (4, 12):
        with pytest.raises(ValueError, match=rf'{count} maps for 6 frames'):
            covered(frames, torch.zeros(count, 2, 2))


@pytest.mark.parametrize('count', [1, 8, 32])
def test_report(count: int, tmp_path: Path) -> None:
    frames = np.zeros((count, 16, 16, 3), np.uint8)
    maps = {'tower': torch.rand(count, 2, 2), 'a $ and_b{': torch.rand(1, 2, 2)}
    draw_activations(tmp_path / 'maps.png', frames, maps, title='video_$1.mp4')
    assert (tmp_path / 'maps.png').stat().st_size > 2000
