"""ActionCLIP's ways over time: the convolution, the shift, the transformer's random weights."""

from typing import Any

import pytest
import torch
from helpers.frame_masks import prefixes, samples
from helpers.tiny_models import CLIP, shaken
from torch import Tensor

from mmstan.methods.actionclip import SequenceConv, TemporalShift
from mmstan.methods.clip4clip import SequenceTransformer
from mmstan.models import FrameEncoder

WIDTH = 8


def test_convolution_starts_as_a_shift() -> None:
    x = torch.randn(2, 5, WIDTH)
    shifted = torch.zeros_like(x)
    shifted[:, 1:, :2] = x[:, :-1, :2]
    shifted[:, :, 2:6] = x[:, :, 2:6]
    shifted[:, :-1, 6:] = x[:, 1:, 6:]
    torch.testing.assert_close(SequenceConv(WIDTH)(x)[0], x + shifted)


def test_convolution_of_a_padded_batch_equals_single_samples() -> None:
    conv, x = shaken(SequenceConv(WIDTH)), 100 * torch.randn(3, 6, WIDTH)
    out, losses = conv(x, samples(prefixes()))
    assert losses == {}
    for clip, ours, length in zip(x, out, (3, 6, 1)):
        torch.testing.assert_close(ours[:length], conv(clip[None, :length])[0][0])
        assert not ours[length:].any()


def test_convolution_keeps_channels_apart() -> None:
    conv, x = shaken(SequenceConv(WIDTH)), torch.randn(1, 5, WIDTH)
    other = x.clone()
    other[:, 2, 3] += 1
    changed = (conv(other)[0] != conv(x)[0])[0].nonzero().tolist()
    assert changed == [[1, 3], [2, 3], [3, 3]]


def test_parameters() -> None:
    conv = SequenceConv(512)
    assert [p.numel() for p in conv.parameters()] == [3 * 512]
    with torch.device('meta'):
        transformer = SequenceTransformer(512, heads=8, layers=6)
    assert sum(p.numel() for p in transformer.parameters()) == 39_424 + 6 * 3_152_384


def test_random_weights_of_the_transformer() -> None:
    neck = SequenceTransformer(64, heads=2, layers=1)
    for name in ('positions', 'blocks.0.attn.out_proj.weight', 'blocks.0.mlp.c_fc.weight'):
        assert neck.get_parameter(name).std().item() == pytest.approx(0.02, rel=0.1)
    assert not neck.blocks[0].mlp.c_proj.bias.any()


# --- the shift ---


def backbone(cls: type, **arguments: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    built = cls(dict(type='mmstan.ImageTower', model=CLIP), **arguments)
    return shaken(built).eval()


def features(model: torch.nn.Module, clip: Tensor) -> Tensor:
    with torch.no_grad():
        return model(clip)


def test_shift_reaches_one_frame_further_with_every_block() -> None:
    """Four blocks: patches of frame 5 reach the class tokens of the frames 1 to 9, not 0 and 10."""
    clip = torch.randn(1, 3, 11, 32, 32)
    other = clip.clone()
    other[:, :, 5] += 1
    shift = backbone(TemporalShift)
    changed = (features(shift, other) != features(shift, clip)).any(dim=2)[0]
    assert changed.nonzero().flatten().tolist() == list(range(1, 10))
    alone = backbone(FrameEncoder)
    changed = (features(alone, other) != features(alone, clip)).any(dim=2)[0]
    assert changed.nonzero().flatten().tolist() == [5]


def test_shift_moves_patches_and_not_class_tokens() -> None:
    """A block of zeros leaves what the shift before it has done."""
    sizes = dict(CLIP, vision_cfg=dict(CLIP['vision_cfg'], layers=1))
    shift = TemporalShift(dict(type='mmstan.ImageTower', model=sizes), shift_div=4)
    for parameter in shift.tower.blocks[0].parameters():
        torch.nn.init.zeros_(parameter)
    clips = torch.randn(2, 3, 5, 32, 32)
    with torch.no_grad():
        x = shift.tower.embed(clips.transpose(1, 2).flatten(0, 1)).unflatten(0, (2, 5))
        expected = x.clone()
        expected[:, :, 1:, :16] = 0
        expected[:, :-1, 1:, :8] = x[:, 1:, 1:, :8]
        expected[:, 1:, 1:, 8:16] = x[:, :-1, 1:, 8:16]
        torch.testing.assert_close(shift.tokens(clips), expected)


def test_shift_is_of_a_clip() -> None:
    clips = torch.randn(2, 3, 4, 32, 32)
    shift = backbone(TemporalShift)
    torch.testing.assert_close(features(shift, clips)[1:], features(shift, clips[1:]))


def test_last_row_equals_all_tokens() -> None:
    clip = torch.randn(2, 3, 4, 32, 32)
    shift = backbone(TemporalShift)
    with torch.no_grad():
        tokens = shift.tokens(clip)
        whole = shift.tower.project(tokens.flatten(0, 1)).unflatten(0, (2, 4))
    torch.testing.assert_close(features(shift, clip), whole)


def test_shift_div() -> None:
    with pytest.raises(ValueError, match='shift_div=1 must be 2 or more'):
        backbone(TemporalShift, shift_div=1)
