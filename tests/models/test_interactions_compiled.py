"""Fused tiles give what the plain ones do; slow, since every case is compiled."""

import shutil
from typing import Any

import pytest
import torch
from helpers.devices import on_devices
from helpers.text_video_features import features

from mmstan.methods.mug import Mug
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.layers import tiles

pytestmark = [
    pytest.mark.slow,
    # Dynamo looks at every attribute of what it is given
    pytest.mark.filterwarnings('ignore:The .grad attribute of a Tensor'),
    pytest.mark.skipif(
        not (shutil.which('g++') or shutil.which('clang++')),
        reason='torch.compile needs a C++ compiler',
    ),
]


@on_devices
@pytest.mark.parametrize('arguments', [dict(), dict(form='sentence')])
def test_compiled_mug(
    arguments: dict[str, Any], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In tiles of nine pairs, those at the edge smaller."""
    text, video = (
        type(of)(*(None if x is None else x.to(device) for x in of))
        for of in features(7, 6, length=5, frames=4, dim=16)
    )
    monkeypatch.setitem(tiles._ELEMENTS, device, 9 * 5 * 4)
    results = []
    for compiled in (False, True):
        tokens, frames = (x.clone().requires_grad_() for x in (text.tokens, video.frames))
        mug = Mug(sharpness=20.0, compiled=compiled, **arguments)
        similarity = mug(
            TextFeatures(tokens, text.sentence, text.mask), VideoFeatures(frames, video.mask)
        )
        similarity.sin().sum().backward()  # a different gradient for every pair
        results.append((similarity.detach(), tokens.grad, frames.grad))
    # Triton's exponential is an approximation.
    tolerance = dict(rtol=1e-4, atol=1e-5) if device == 'cuda' else {}
    for plain, fused in zip(*results):
        assert plain.abs().max() > 0
        torch.testing.assert_close(fused, plain, **tolerance)
