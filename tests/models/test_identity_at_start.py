"""Before training: what is per-frame CLIP still, and what must not be, from the same weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.tiny_models import CLIP, TEXT, TOWER, reference, shaken
from torch import Tensor

from mmstan.models import FrameEncoder
from mmstan.registry import MODELS

# type, arguments, frames of a clip
IDENTITIES = [
    ('STAdapter', dict(before=('mlp',)), 3),
    ('STAdapter', dict(before=('attention', 'mlp')), 3),
    ('TubePatches', {}, 3),
    ('JointSpaceTime', dict(num_frames=8), 1),
]
OTHERS = [
    ('JointSpaceTime', dict(num_frames=8), 3),
    ('DividedSpaceTime', dict(num_frames=8), 1),  # the first block's attention over time counts
    ('DividedSpaceTime', dict(num_frames=8), 3),
    ('STAN', dict(levels=(2, 3, 4)), 3),  # the branch's class token is added
    ('STAN', dict(levels=(2, 3, 4), cross_frame=None), 3),
    ('STAN', dict(levels=(2, 3, 4)), 1),
    ('XCLIP', dict(context=False), 1),
    ('XCLIP', dict(context=False), 3),
    ('TemporalShift', {}, 3),
]
# Over frame features of width 24; with CLIP's weights where ``init_from`` is an argument.
NECKS = [
    ('SequenceTransformer', dict(heads=2, layers=2)),
    ('SequenceTransformer', dict(heads=2, layers=2, max_frames=8, init_from={})),
    ('TemporalDifference', dict(heads=2, layers=2, max_frames=8, init_from={})),
    ('SequenceLSTM', {}),
    ('SequenceConv', {}),
]


@torch.no_grad()
def both(name: str, arguments: dict[str, Any], frames: int) -> tuple[Tensor, Tensor]:
    """Features of random clips: of a system that has not learned, and of its tower alone.

    Of both the mean of the frames, where the system has one feature of a clip.
    """
    encoder = shaken(FrameEncoder(TOWER)).eval()
    backbone = MODELS.build(dict(type=f'mmstan.{name}', tower=TOWER, **arguments)).eval()
    backbone.tower.load_state_dict(encoder.tower.state_dict())
    backbone.init_weights()
    clip = torch.randn(2, 3, frames, 32, 32)
    ours, alone = backbone(clip), encoder(clip)
    return ours, alone if ours.shape == alone.shape else alone.mean(dim=1, keepdim=True)


@pytest.mark.parametrize(('name', 'arguments', 'frames'), IDENTITIES, ids=str)
def test_starts_as_clip_on_each_frame(name: str, arguments: dict[str, Any], frames: int) -> None:
    torch.testing.assert_close(*both(name, arguments, frames), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(('name', 'arguments', 'frames'), OTHERS, ids=str)
def test_does_not_start_as_clip(name: str, arguments: dict[str, Any], frames: int) -> None:
    ours, alone = both(name, arguments, frames)
    assert (F.normalize(ours, dim=-1) - F.normalize(alone, dim=-1)).abs().max() > 1e-3


@pytest.mark.parametrize(('name', 'arguments'), NECKS, ids=str)
@torch.no_grad()
def test_necks_turn_the_frames_from_the_start(
    name: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    """Also beyond their length, which a residual around the whole would change alone."""
    if 'init_from' in arguments:
        torch.save(reference(CLIP).state_dict(), tmp_path / 'clip.pt')
        source = dict(model=CLIP, pretrained=str(tmp_path / 'clip.pt'))
        arguments = dict(arguments, init_from=source)
    neck = MODELS.build(dict(type=f'mmstan.{name}', width=TEXT['width'], **arguments)).eval()
    neck.init_weights()
    x = torch.randn(2, 6, TEXT['width'])
    out, _ = neck(x)
    assert (F.normalize(out, dim=-1) - F.normalize(x, dim=-1)).abs().max() > 1e-3
