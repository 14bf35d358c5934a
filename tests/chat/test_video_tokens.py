"""Fusing, pooling, and the arithmetic of feature layers."""

from typing import Any

import pytest
import torch

from mmstan.chat.video_tokens import count_tokens, feature_block, fuse, pool


@pytest.mark.parametrize(
    ('layer', 'depth', 'block'), [(-2, 24, 23), (23, 24, 23), (-1, 24, 24), (-24, 24, 1), (1, 4, 1)]
)
def test_feature_block(layer: int, depth: int, block: int) -> None:
    assert feature_block(layer, depth) == block


@pytest.mark.parametrize('layer', [0, -25, 25, -26])
def test_layers_without_a_block(layer: int) -> None:
    with pytest.raises(ValueError, match=f'vision_feature_layer={layer}: .* 1 to 24 or -24 to -1'):
        feature_block(layer, 24)


@pytest.mark.parametrize('layer', [[-2, -5], True, None])
def test_several_layers_are_refused(layer: Any) -> None:
    with pytest.raises(ValueError, match=r'one layer of the tower is taken, e\.g\. -2'):
        feature_block(layer, 24)


def test_fuse_is_a_weighted_mean() -> None:
    tower, branch = torch.ones(1, 2, 3, 4), torch.full((1, 2, 3, 4), 5.0)
    assert torch.equal(fuse(tower, branch, 0), tower)
    assert torch.equal(fuse(tower, branch, 1), branch)
    assert torch.equal(fuse(tower, branch, 0.5), torch.full((1, 2, 3, 4), 3.0))


def test_scale_gives_each_clip_s_branch_the_length_of_the_tower() -> None:
    tower, branch = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 5, 8)
    branch[1] *= 7
    scaled = fuse(tower, branch, 1, scale='tower')
    torch.testing.assert_close(
        scaled.norm(dim=-1).mean(dim=(1, 2)), tower.norm(dim=-1).mean(dim=(1, 2))
    )
    # Directions stay.
    torch.testing.assert_close(
        torch.nn.functional.normalize(scaled, dim=-1), torch.nn.functional.normalize(branch, dim=-1)
    )


@pytest.mark.parametrize('weight', [-0.1, 1.1, float('nan')])
def test_weights_outside_of_0_and_1(weight: float) -> None:
    with pytest.raises(ValueError, match=r'branch_weight=.*: within 0 .* and 1'):
        fuse(torch.ones(1), torch.ones(1), weight)


@pytest.mark.parametrize(('how', 'frames'), [('mean', 1), ('frames', 3)])
@pytest.mark.parametrize(
    ('place', 'order'), [('none', [1, 2]), ('first', [0, 1, 2]), ('last', [1, 2, 0])]
)
def test_pool(how: Any, frames: int, place: Any, order: list[int]) -> None:
    tokens = torch.randn(2, 3, 3, 4)  # T = 3, L = 2
    pooled = pool(tokens, how, class_token=place)
    ordered = tokens[:, :, order]
    wanted = ordered.mean(1) if how == 'mean' else ordered.reshape(2, -1, 4)
    assert torch.equal(pooled, wanted)
    assert pooled.shape[1] == frames * len(order) == count_tokens(2, 3, how, place)


def test_unknown_choices() -> None:
    with pytest.raises(ValueError, match="pool='max'"):
        pool(torch.ones(1, 1, 2, 4), 'max')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="class_token='middle'"):
        pool(torch.ones(1, 1, 2, 4), 'mean', class_token='middle')  # type: ignore[arg-type]
