"""CLIP2Video's temporal difference block: sizes, masks, weights from CLIP, the release's names."""

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from helpers.frame_masks import LENGTHS, prefixes, samples
from helpers.tiny_models import CLIP, TEXT, reference, shaken

from mmstan.converters import key_map
from mmstan.methods.clip2video import TemporalDifference
from mmstan.methods.clip2video import checkpoints as clip2video
from mmstan.methods.clip4clip import SequenceTransformer
from mmstan.models import VideoTextModel

WIDTH = TEXT['width']


@pytest.fixture(params=['attention', 'linear', 'raw'])
def neck(request: pytest.FixtureRequest) -> TemporalDifference:
    return shaken(tiny(difference=request.param))


def tiny(**arguments: Any) -> TemporalDifference:
    return TemporalDifference(WIDTH, heads=2, layers=2, max_frames=8, **arguments)


@pytest.mark.parametrize(
    ('difference', 'parameters'),
    [('attention', 15_803_392), ('linear', 12_913_152), ('raw', 12_649_984)],
)
def test_parameters(difference: str, parameters: int) -> None:
    with torch.device('meta'):
        neck = TemporalDifference(512, heads=8, difference=difference)
    assert sum(p.numel() for p in neck.parameters()) == parameters


def test_padded_batch_equals_single_samples(neck: TemporalDifference) -> None:
    """The release's masks go to other samples, and its last difference is of a padded frame."""
    x = torch.randn(3, 6, WIDTH)
    out, losses = neck(x, samples(prefixes()))
    assert losses == {}
    for clip, ours, length in zip(x, out, LENGTHS):
        alone, _ = neck(clip[None, :length])
        torch.testing.assert_close(ours[:length], alone[0])
        assert not ours[length:].any()


def test_padding_between_frames_is_not_seen(neck: TemporalDifference) -> None:
    x, mask = torch.randn(1, 6, WIDTH), torch.tensor([True, False, True, True, False, True])
    out, _ = neck(x, samples([mask]))
    x[:, ~mask] = 100 * torch.randn(1, 2, WIDTH)
    assert torch.equal(neck(x, samples([mask]))[0], out)


def test_the_order_of_frames_and_differences(neck: TemporalDifference) -> None:
    x = torch.randn(2, 4, WIDTH)
    d = neck.differences(x, torch.ones(2, 3, dtype=torch.bool))
    tokens = neck.interleave(x, d)
    positions, (of_difference, of_frame) = neck.positions, neck.type_embeddings
    assert tokens.shape == (2, 7, WIDTH)
    torch.testing.assert_close(tokens[:, 2], x[:, 1] + positions[1] + of_frame)
    torch.testing.assert_close(tokens[:, 3], d[:, 1] + positions[1] + of_difference)
    if neck.difference == 'raw':
        assert torch.equal(d, x[:, 1:] - x[:, :-1])
    else:
        assert d.abs().max() < 1


def test_differences_tell_what_a_sequence_transformer_does_not(neck: TemporalDifference) -> None:
    """The output depends on what frames differ in, also where blocks see no positions."""
    x = torch.randn(1, 6, WIDTH)
    torch.nn.init.zeros_(neck.positions)
    swapped = x[:, [1, 0, 2, 3, 4, 5]]
    sequence = shaken(SequenceTransformer(WIDTH, heads=2, layers=2))
    torch.nn.init.zeros_(sequence.positions)
    torch.testing.assert_close(sequence(swapped)[0][:, 5], sequence(x)[0][:, 5])
    assert not torch.allclose(neck(swapped)[0][:, 5], neck(x)[0][:, 5])


@pytest.mark.parametrize('autocast', [False, True])
def test_gradients_also_beside_an_empty_clip(neck: TemporalDifference, autocast: bool) -> None:
    x = torch.randn(3, 6, WIDTH, requires_grad=True)
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        out, _ = neck(x, samples(prefixes((3, 6, 0))))
    out.float().square().sum().backward()
    assert x.grad.isfinite().all()
    assert not x.grad[2].any()
    for name, parameter in neck.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize('difference', ['attention', 'linear', 'raw'])
def test_initialised_from_clip(tmp_path: Path, difference: str) -> None:
    clip, path = reference(CLIP), tmp_path / 'clip.pt'
    torch.save(clip.state_dict(), path)
    neck = tiny(difference=difference, init_from=dict(model=CLIP, pretrained=str(path)))
    neck.init_weights()
    positions = clip.positional_embedding
    assert torch.equal(neck.positions, positions[:8])
    assert torch.equal(neck.type_embeddings, positions[:2])
    x = torch.randn(2, 6, WIDTH)
    d = neck.differences(x, torch.ones(2, 5, dtype=torch.bool))
    if difference == 'attention':
        block = clip.transformer.resblocks[0](x[:, 1:] - x[:, :-1] + positions[1:6])
        expected = 2 * torch.sigmoid(torch.nn.functional.layer_norm(block, (WIDTH,))) - 1
        torch.testing.assert_close(d, expected, atol=1e-4, rtol=1e-4)  # LayerNorm's eps
    blocks = clip.transformer(neck.interleave(x, d))  # two blocks, no causal mask
    torch.testing.assert_close(neck(x)[0], x + blocks[:, ::2], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize('difference', ['attention', 'linear', 'raw'])
def test_released_names_and_back(difference: str) -> None:
    model = dict(CLIP, quick_gelu=True)
    built = VideoTextModel(
        backbone=dict(
            type='mmstan.FrameEncoder', tower=dict(type='mmstan.ImageTower', model=model)
        ),
        text_tower=dict(type='mmstan.TextTower', model=model),
        neck=dict(type='mmstan.TemporalDifference', width=16, heads=2, difference=difference),
        head=dict(
            type='mmstan.RetrievalHead',
            interaction=dict(type='mmstan.Cosine'),
            trainable_scale=True,
        ),
    )
    ours = built.state_dict()
    released = clip2video.to_released(ours)
    assert ('frame2t_projection' in released) == (difference == 'linear')
    alignment = {'weight_center': torch.zeros(5, 16), 'actionClip.resblocks.0.ln_1.bias': None}
    unread = {f'trans_layernorm.{name}': torch.zeros(16) for name in ('weight', 'bias')}
    with mock.patch.object(key_map, 'print_log') as log:
        again = clip2video.from_released({**unread, **released, **alignment})
    said = '2 tensors dropped, which raw differences do not read: '
    assert [call.args[0].startswith(said) for call in log.call_args_list] == (
        [True] if difference == 'raw' else []
    )
    assert again.keys() == ours.keys()
    assert all(torch.equal(again[key], ours[key]) for key in ours)
    with pytest.raises(ValueError, match='1 tensors missing: type_position_embeddings'):
        released.pop('type_position_embeddings.weight')
        clip2video.from_released(released)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="difference='mlp' must be one of"):
        tiny(difference='mlp')
    with pytest.raises(ValueError, match='9 frames, but max_frames=8'):
        tiny()(torch.zeros(1, 9, WIDTH))
