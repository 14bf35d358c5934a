import pytest
import torch

from mmstan.visualization import (
    attention_map,
    compute_frame_shares,
    compute_gain,
    draw_maps,
    gradcam,
    scaled,
)


def test_weights_of_channels() -> None:
    """Against sums written out: two frames of 1 x 2 patches with two channels."""
    tokens = torch.tensor([[[[1.0, 2.0], [3.0, -1.0]]], [[[0.0, 1.0], [-2.0, 4.0]]]])
    gradient = torch.tensor([[[[1.0, 0.0], [3.0, 2.0]]], [[[-1.0, 1.0], [1.0, -1.0]]]])
    # Frame 1: means 2 and 1. Frame 2: means 0 and 0. All: means 1 and 0.5.
    expected = dict(
        frame=[[[4.0, 5.0]], [[0.0, 0.0]]],
        video=[[[2.0, 2.5]], [[0.5, 0.0]]],
        element=[[[1.0, 7.0]], [[1.0, 0.0]]],
    )
    for weights, values in expected.items():
        assert gradcam(tokens, gradient, weights=weights).tolist() == values


def test_attention_by_its_gradient() -> None:
    weights = torch.tensor([[[[0.5, 0.25]], [[0.1, 0.3]]]])  # (T, heads, h, w)
    gradient = torch.tensor([[[[2.0, -4.0]], [[1.0, 1.0]]]])
    torch.testing.assert_close(attention_map(weights), torch.tensor([[[0.3, 0.275]]]))
    expected = torch.tensor([[[(1.0 + 0.1) / 2, 0.3 / 2]]])
    torch.testing.assert_close(attention_map(weights, gradient), expected)


def test_one_maximum_for_a_video_or_one_a_frame() -> None:
    maps = torch.tensor([[[1.0, 2.0]], [[4.0, 0.0]], [[0.0, 0.0]]])
    assert scaled(maps, 'video').tolist() == [[[0.25, 0.5]], [[1.0, 0.0]], [[0.0, 0.0]]]
    assert scaled(maps, 'frame').tolist() == [[[0.5, 1.0]], [[1.0, 0.0]], [[0.0, 0.0]]]
    assert scaled(torch.zeros(2, 1, 1), 'video').tolist() == [[[0.0]], [[0.0]]]
    assert compute_frame_shares(maps).tolist() == pytest.approx([3 / 7, 4 / 7, 0])
    assert compute_frame_shares(torch.zeros(2, 1, 1)).tolist() == [0, 0]


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match=r"^weights='all' must be one of 'frame', 'video', 'elem"):
        gradcam(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1), weights='all')
    with pytest.raises(ValueError, match=r"^scale='all' must be one of 'video', 'frame'$"):
        scaled(torch.ones(1, 1, 1), 'all')


def test_gain_of_an_even_map_is_one() -> None:
    shape = torch.rand(2, 3, 4)
    assert compute_gain(torch.ones(2, 3, 4), shape) == pytest.approx(1)
    assert compute_gain(shape, (shape > 0.9).float()) > 1


def test_a_picture_has_a_row_a_map_and_a_matrix(tmp_path) -> None:
    frames = torch.randint(256, (4, 16, 24, 3), dtype=torch.uint8).numpy()
    sizes = []
    for maps in ({'a': torch.rand(4, 2, 3)}, {'a': torch.rand(4, 2, 3), 'b': torch.rand(2, 2, 3)}):
        for matrices in ({}, {'time.1': torch.rand(4, 4)}):
            draw_maps(tmp_path / 'cam.png', frames, maps, matrices, title='a $text')
            sizes.append((tmp_path / 'cam.png').stat().st_size)
    assert min(sizes) > 5000 and sizes[0] < sizes[1] and sizes[0] < sizes[2]
    with pytest.raises(ValueError, match='3 maps for 4 frames'):
        draw_maps(tmp_path / 'cam.png', frames, {'a': torch.rand(3, 2, 3)}, {}, title='')
