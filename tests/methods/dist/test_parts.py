"""Parts of DiST that are alternatives, against their definitions frame by frame."""

import pytest
import torch
import torch.nn.functional as F

from mmstan.methods.dist.resampling import DOWNSAMPLING, UPSAMPLING
from mmstan.methods.dist.temporal import JointAttention, TAdaConv


def test_tadaconv_calibrates_the_weights_of_every_frame() -> None:
    block, x = TAdaConv(8), torch.randn(2, 8, 4, 5, 5)
    factors = block.compute_factors(x)  # (N, d, S)
    frames = [
        F.conv2d(
            x[n, :, s][None],
            block.conv.weight[:, :, 0] * factors[n, :, s, None, None],
            block.conv.bias,
            padding=1,
        )
        for n in range(2)
        for s in range(4)
    ]
    expected = torch.cat(frames).unflatten(0, (2, 4)).transpose(1, 2)
    torch.testing.assert_close(block.update(x), expected)
    block.init_calibration()
    assert torch.equal(block.compute_factors(x), torch.ones(2, 8, 4))


@pytest.mark.parametrize('gamma', [1, 2, 4])
@pytest.mark.parametrize('name', UPSAMPLING)
def test_upsampling(name: str, gamma: int) -> None:
    up, patches = UPSAMPLING[name](16, 8, gamma), torch.randn(2, 3, 2, 4, 16)  # N, T, h, w, D
    out = up(patches)
    assert out.shape == (2, 8, 3 * gamma, 2, 4)
    for s in range(3 * gamma):
        if name == 'deconv':
            frame = patches[:, s // gamma] @ up.conv.weight[:, :, s % gamma, 0, 0] + up.conv.bias
        elif name == 'nearest':
            frame = up.linear(patches[:, s // gamma])
        else:
            place = min(max((s + 0.5) / gamma - 0.5, 0), 2)
            left, right = patches[:, int(place)], patches[:, min(int(place) + 1, 2)]
            frame = up.linear(torch.lerp(left, right, place % 1))
        torch.testing.assert_close(out[:, :, s], frame.movedim(-1, 1))


@pytest.mark.parametrize('gamma', [1, 2, 4])
@pytest.mark.parametrize('name', DOWNSAMPLING)
def test_downsampling(name: str, gamma: int) -> None:
    down, z = DOWNSAMPLING[name](8, 16, gamma), torch.randn(2, 8, 3 * gamma, 2, 4)
    out = down(z)
    assert out.shape == (2, 3, 2, 4, 16)
    for t in range(3):
        group = z[:, :, t * gamma : (t + 1) * gamma].movedim(1, -1)  # (N, g, h, w, d)
        if name == 'conv':
            kernel = down.conv.weight[..., 0, 0]  # (D, d, g)
            frame = torch.einsum('nghwd,edg->nhwe', group, kernel) + down.conv.bias
        else:
            frame = down.linear(group.mean(1) if name == 'avg' else group.max(1).values)
        torch.testing.assert_close(out[:, t], frame)


def test_joint_attention_is_one_head_over_all_tokens() -> None:
    block, x = JointAttention(8), torch.randn(2, 8, 3, 2, 2)
    q, k, v = block.qkv(x.flatten(2).transpose(1, 2)).split(2, dim=-1)
    weights = (q @ k.transpose(1, 2) / 2**0.5).softmax(dim=-1)
    expected = block.out(weights @ v).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(block.update(x), expected)
