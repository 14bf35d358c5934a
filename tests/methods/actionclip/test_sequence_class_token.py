"""ActionCLIP's class token over the frames: order, masks, the release's blocks."""

import pytest
import torch
from helpers.frame_masks import samples
from helpers.tiny_models import shaken

from mmstan.methods.actionclip import SequenceClassToken


def tiny() -> SequenceClassToken:
    return shaken(SequenceClassToken(16, heads=2, num_frames=4, layers=2)).eval()


@torch.no_grad()
def test_it_is_pytorchs_encoder_with_a_class_token_first() -> None:
    neck, x = tiny(), torch.randn(3, 4, 16)
    tokens = torch.cat([neck.class_token.expand(3, 1, -1), x], dim=1) + neck.positions
    for layer in neck.encoder.layers:  # post-norm, ReLU
        attended, _ = layer.self_attn(tokens, tokens, tokens)
        tokens = layer.norm1(tokens + attended)
        tokens = layer.norm2(tokens + layer.linear2(layer.linear1(tokens).relu()))
    expected = neck.encoder.norm(tokens)[:, 0]
    torch.testing.assert_close(neck(x)[0], expected, rtol=1e-4, atol=1e-5)
    assert (neck(x)[0] - neck(x.flip(1))[0]).abs().max() > 1e-3  # frames have places


@torch.no_grad()
def test_padded_frames_are_not_read() -> None:
    neck, x = tiny(), torch.randn(2, 4, 16)
    masks = torch.tensor([[True, True, True, True], [True, True, False, False]])
    other = x.masked_fill(~masks[:, :, None], 7.0)
    torch.testing.assert_close(neck(x, samples(masks))[0], neck(other, samples(masks))[0])


def test_another_number_of_frames() -> None:
    with pytest.raises(ValueError, match='5 frames, but num_frames=4'):
        tiny()(torch.zeros(1, 5, 16))
