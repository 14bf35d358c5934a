"""The first view of samples in either order of FormatShape."""

from types import SimpleNamespace

import pytest
import torch
from helpers.retrieval_models import PREPROCESSOR
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

from mmstan.apis.cam_clips import prepare_clip
from mmstan.apis.inputs import to_frames

FRAMES = torch.randint(0, 256, (5, 3, 8, 12), dtype=torch.uint8)  # (T, 3, H, W)
MASK = torch.tensor([True, True, True, False, False])
ORDERS = {'NCHW': FRAMES, 'NCTHW': FRAMES.transpose(0, 1)[None]}


@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('mask', [None, MASK])
def test_the_order_of_format_shape_does_not_count(
    order: str, mask: torch.Tensor | None, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = ActionDataSample()
    if mask is not None:
        sample.set_field(mask, 'frame_mask')
    packed = dict(inputs=ORDERS[order], data_samples=sample)
    real = FRAMES.permute(0, 2, 3, 1)[: 5 if mask is None else 3]
    assert torch.from_numpy(to_frames(packed)).equal(real)
    preprocessor = MODELS.build(dict(PREPROCESSOR, format_shape=order))
    clip = prepare_clip(SimpleNamespace(data_preprocessor=preprocessor), packed)
    assert torch.from_numpy(clip.frames).equal(real)
    expected = (FRAMES.transpose(0, 1)[None].float() - 127.5) / 60
    torch.testing.assert_close(clip.inputs, expected)
    assert 'views' not in capsys.readouterr().out


def test_of_several_views_the_first_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    views = torch.stack([ORDERS['NCTHW'][0], 255 - ORDERS['NCTHW'][0]])
    packed = dict(inputs=views, data_samples=ActionDataSample())
    model = SimpleNamespace(data_preprocessor=MODELS.build(PREPROCESSOR))
    clip = prepare_clip(model, packed)
    torch.testing.assert_close(clip.inputs, (views[:1].float() - 127.5) / 60)
    assert '2 views of the video: the first is shown' in capsys.readouterr().out
