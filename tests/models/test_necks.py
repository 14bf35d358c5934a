"""Necks over time: frame masks, the size that the papers' code has, initialisation from CLIP."""

from pathlib import Path

import pytest
import torch
from helpers.frame_masks import LENGTHS, prefixes, samples
from helpers.tiny_models import CLIP, TEXT, reference, shaken
from mmengine.model import BaseModule

from mmstan.methods.actionclip import SequenceClassToken, SequenceConv
from mmstan.methods.clip2video import TemporalDifference
from mmstan.methods.clip4clip import SequenceLSTM, SequenceTransformer
from mmstan.models.features import frame_mask
from mmstan.models.necks import MeanPool

WIDTH = TEXT['width']


@pytest.fixture(params=['transformer', 'lstm'])
def neck(request: pytest.FixtureRequest) -> BaseModule:
    if request.param == 'lstm':
        return shaken(SequenceLSTM(WIDTH))
    return shaken(SequenceTransformer(WIDTH, heads=2, layers=2, max_frames=8))


def test_frame_mask() -> None:
    x = torch.zeros(3, 6, WIDTH)
    everything = torch.ones(3, 6, dtype=torch.bool)
    assert torch.equal(frame_mask(x), everything)
    assert torch.equal(frame_mask(x, samples([None] * 3)), everything)
    assert torch.equal(frame_mask(x, samples(prefixes())), torch.stack(prefixes()))
    mixed = frame_mask(x, samples([None, *prefixes((2, 3))]))
    assert mixed.sum(dim=1).tolist() == [6, 2, 3]


def test_frame_mask_of_other_shape_is_refused() -> None:
    x = torch.zeros(3, 6, WIDTH)
    with pytest.raises(ValueError, match=r'frame_mask \(4,\) for 6 frames'):
        frame_mask(x, samples([torch.ones(4, dtype=torch.bool), None, None]))
    with pytest.raises(ValueError, match=r'\(3, 6, 24\) of 1 samples'):
        frame_mask(x, samples(prefixes((2,))))


@pytest.mark.parametrize(
    'neck',
    [
        MeanPool(),
        SequenceClassToken(WIDTH, heads=2, num_frames=6, layers=1),
        SequenceConv(WIDTH),
        SequenceLSTM(WIDTH),
        SequenceTransformer(WIDTH, heads=2, layers=1),
        TemporalDifference(WIDTH, heads=2, layers=1),
    ],
    ids=lambda neck: type(neck).__name__,
)
def test_a_second_value_of_the_backbone_is_refused(neck: BaseModule) -> None:
    with pytest.raises(ValueError, match=r'2 values; set context=False of mmstan\.XCLIP'):
        neck((torch.zeros(2, 6, WIDTH), torch.zeros(2, 4, WIDTH)), samples([None, None]))


def test_padded_batch_equals_single_samples(neck: BaseModule) -> None:
    x = torch.randn(3, 6, WIDTH)
    out, losses = neck(x, samples(prefixes()))
    assert losses == {}
    for clip, ours, length in zip(x, out, LENGTHS):
        alone, _ = neck(clip[None, :length])
        torch.testing.assert_close(ours[:length], alone[0])
        assert not ours[length:].any()


def test_padding_between_frames_is_not_seen(neck: BaseModule) -> None:
    x, mask = torch.randn(1, 6, WIDTH), torch.tensor([True, False, True, True, False, True])
    out, _ = neck(x, samples([mask]))
    x[:, ~mask] = 100 * torch.randn(1, 2, WIDTH)
    again, _ = neck(x, samples([mask]))
    assert torch.equal(out, again)
    assert not out[:, ~mask].any()


def test_mean_leaves_padding_out() -> None:
    x = torch.randn(3, 6, WIDTH)
    masks = prefixes()
    pooled, losses = MeanPool()(x, samples([masks[0], None, masks[2]]))
    torch.testing.assert_close(pooled, torch.stack([x[0, :3].mean(0), x[1].mean(0), x[2, 0]]))
    torch.testing.assert_close(MeanPool()(x)[0], x.mean(dim=1))
    assert losses == {}
    with torch.autocast('cpu', torch.bfloat16):  # float32 stays it
        torch.testing.assert_close(MeanPool()(x)[0], x.mean(dim=1))


def test_lstm_leaves_gaps_out() -> None:
    lstm = shaken(SequenceLSTM(WIDTH))
    x, mask = torch.randn(1, 6, WIDTH), torch.tensor([True, False, True, True, False, True])
    torch.testing.assert_close(lstm(x, samples([mask]))[0][:, mask], lstm(x[:, mask])[0])


@pytest.mark.parametrize(('training', 'grad'), [(False, True), (True, True), (False, False)])
def test_lstm_leaves_cudnn_only_where_it_has_no_gradients(
    training: bool, grad: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maps need the gradients of a model in evaluation mode."""
    monkeypatch.setattr(torch.Tensor, 'is_cuda', True)
    lstm, used = SequenceLSTM(WIDTH).train(training), []
    lstm.lstm.register_forward_pre_hook(lambda *_: used.append(torch.backends.cudnn.enabled))
    with torch.set_grad_enabled(grad):
        lstm(torch.randn(1, 6, WIDTH))
    assert used == [training or not grad] and torch.backends.cudnn.enabled


def test_frames_see_each_other(neck: BaseModule) -> None:
    """No neck is the identity: the last frame depends on the first."""
    x = torch.randn(1, 6, WIDTH)
    out, _ = neck(x)
    x[:, 0] = torch.randn(WIDTH)
    assert not torch.allclose(neck(x)[0][:, -1], out[:, -1])


@pytest.mark.parametrize('autocast', [False, True])
def test_gradients_also_beside_an_empty_clip(neck: BaseModule, autocast: bool) -> None:
    x = torch.randn(3, 6, WIDTH, requires_grad=True)
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        out, _ = neck(x, samples(prefixes((3, 6, 0))))
    assert not out[2].any()
    out.float().square().sum().backward()
    assert x.grad.isfinite().all()
    assert not x.grad[2].any()
    for name, parameter in neck.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_parameters_of_clip4clip() -> None:
    transformer, lstm = SequenceTransformer(512, heads=8), SequenceLSTM(512)
    assert sum(p.numel() for p in transformer.parameters()) == 12_648_960
    assert sum(p.numel() for p in lstm.parameters()) == 2_101_248


@pytest.mark.parametrize('quick_gelu', [False, True])
def test_initialised_from_clip(tmp_path: Path, quick_gelu: bool) -> None:
    clip, path = reference(CLIP, quick_gelu=quick_gelu), tmp_path / 'clip.pt'
    torch.save(clip.state_dict(), path)
    source = dict(model=dict(CLIP, quick_gelu=quick_gelu), pretrained=str(path))
    neck = SequenceTransformer(WIDTH, heads=2, layers=2, max_frames=8, init_from=source)
    neck.init_weights()
    assert torch.equal(neck.positions, clip.positional_embedding[:8])
    x = torch.randn(2, 6, WIDTH)
    expected = x + clip.transformer(x + clip.positional_embedding[:6])  # all frames, no causal mask
    torch.testing.assert_close(neck(x)[0], expected, atol=1e-4, rtol=1e-4)  # LayerNorm's eps


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(width=WIDTH, heads=2, layers=3), '12 missing: blocks.2'),
        (dict(width=16, heads=2, layers=2), 'of another shape'),
        (dict(width=WIDTH, heads=2, layers=2, max_frames=99), '1 of another shape: positions'),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, arguments: dict, message: str) -> None:
    path = tmp_path / 'clip.pt'
    torch.save(reference(CLIP).state_dict(), path)
    source = dict(model=CLIP, pretrained=str(path))
    neck = SequenceTransformer(**dict(dict(max_frames=8), **arguments), init_from=source)
    with pytest.raises(ValueError, match=message):
        neck.init_weights()


def test_more_frames_than_positions_are_refused() -> None:
    neck = SequenceTransformer(WIDTH, heads=2, layers=1, max_frames=4)
    with pytest.raises(ValueError, match='6 frames, but max_frames=4'):
        neck(torch.zeros(1, 6, WIDTH))
