"""CLIP4Clip's tight transformer: its definition pair by pair, tiles, masks, memory, weights."""

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from helpers.tiny_models import CLIP, TEXT, reference, shaken
from torch import Tensor

from mmstan.converters import key_map
from mmstan.methods.clip4clip import TightTransformer, tight_transformer
from mmstan.methods.clip4clip import checkpoints as clip4clip
from mmstan.models import VideoTextModel
from mmstan.models.features import TextFeatures, VideoFeatures

WIDTH = TEXT['width']


def tiny(**arguments: Any) -> TightTransformer:
    return TightTransformer(WIDTH, **dict(dict(heads=2, layers=2, max_frames=8), **arguments))


@pytest.fixture
def interaction() -> TightTransformer:
    return shaken(tiny()).eval()


def features(
    a: int, b: int, t: int = 4, *, grad: bool = False
) -> tuple[TextFeatures, VideoFeatures]:
    sentence = torch.randn(a, WIDTH, requires_grad=grad)
    frames = torch.randn(b, t, WIDTH, requires_grad=grad)
    mask = torch.arange(t) < torch.randint(1, t + 1, (b, 1))
    everything = torch.ones(a, 1, dtype=torch.bool)
    return TextFeatures(sentence[:, None], sentence, everything), VideoFeatures(frames, mask)


def one_pair(model: TightTransformer, sentence: Tensor, frames: Tensor) -> Tensor:
    """The definition, without a batch and without padding."""
    x = torch.cat([sentence[None], frames]) + model.positions[: 1 + len(frames)]
    for block in model.blocks:
        x = block(x[None])[0]
    pooled = model.pool(model.norm(x[0]))
    return model.out(pooled * torch.sigmoid(1.702 * pooled))[0]


def test_every_pair_is_scored_for_itself(interaction: TightTransformer) -> None:
    text, video = features(3, 4)
    scores = interaction(text, video)
    assert scores.shape == (3, 4) and scores.dtype == torch.float32
    for i, sentence in enumerate(text.sentence):
        for k, (frames, mask) in enumerate(zip(*video[:2])):
            torch.testing.assert_close(scores[i, k], one_pair(interaction, sentence, frames[mask]))


def test_padding_is_not_seen(interaction: TightTransformer) -> None:
    text, video = features(3, 4)
    scores = interaction(text, video)
    video.frames[~video.mask] = 100 * torch.randn_like(video.frames[~video.mask])
    torch.testing.assert_close(interaction(text, video), scores)


def test_tiled_equals_whole(interaction: TightTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    text, video = features(7, 5, grad=True)
    inputs = [text.sentence, video.frames, *interaction.parameters()]
    sizes, results = [], []
    score = TightTransformer._score

    def counted(self: TightTransformer, *tile: Tensor) -> Tensor:
        sizes.append(len(tile[0]) * len(tile[1]))
        return score(self, *tile)

    monkeypatch.setattr(TightTransformer, '_score', counted)
    for elements in (2**30, 6 * 5 * 4 * WIDTH):  # everything, and at most 6 pairs
        score_in_tiles = tight_transformer.score_in_tiles
        monkeypatch.setattr(
            tight_transformer,
            'score_in_tiles',
            lambda *args, n=elements, f=score_in_tiles, **kwargs: f(
                *args, **dict(kwargs, elements=n)
            ),
        )
        scores = interaction(text, video)
        results.append([scores, *torch.autograd.grad(scores.square().sum(), inputs)])
        monkeypatch.setattr(tight_transformer, 'score_in_tiles', score_in_tiles)
    assert sizes[0] == 35 and 1 < max(sizes[2:]) <= 6  # once forward, once for the gradients
    for whole, ours in zip(*results):
        torch.testing.assert_close(ours, whole, atol=1e-5, rtol=1e-4)


def test_dropout_is_the_same_when_a_tile_is_computed_again() -> None:
    """Gradients are those of the scores that were given."""
    interaction = shaken(tiny(dropout=0.5)).train()
    text, video = features(3, 2)
    direction = torch.randn_like(text.sentence)
    step = 1e-3

    def scored(sentence: Tensor) -> Tensor:
        torch.manual_seed(1)
        return interaction(text._replace(sentence=sentence), video).sum()

    sentence = text.sentence.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(scored(sentence), sentence)
    with torch.no_grad():
        there, back = (scored(sentence + s * direction) for s in (step, -step))
    slope = (there - back) / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=0.02, abs=2e-3)
    interaction.eval()
    assert torch.equal(interaction(text, video), interaction(text, video))


def test_it_reads_the_order_of_frames_and_no_norm(interaction: TightTransformer) -> None:
    text, video = features(2, 2)
    video = video._replace(mask=torch.ones_like(video.mask))
    scores = interaction(text, video)
    for other in (video.frames.flip(1), 2 * video.frames):
        assert not torch.allclose(interaction(text, video._replace(frames=other)), scores)


def test_float32_under_autocast(interaction: TightTransformer) -> None:
    text, video = features(2, 3)
    with torch.autocast('cpu', torch.bfloat16):
        scores = interaction(text, video)
    assert torch.equal(scores, interaction(text, video))


def test_an_empty_video_has_finite_gradients(interaction: TightTransformer) -> None:
    text, video = features(2, 2, grad=True)
    video.mask[1] = False
    (gradient,) = torch.autograd.grad(interaction(text, video).sum(), video.frames)
    assert gradient.isfinite().all() and gradient[0].any() and not gradient[1].any()


def test_gradients_reach_every_parameter(interaction: TightTransformer) -> None:
    interaction(*features(2, 3)).square().sum().backward()
    for name, parameter in interaction.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_parameters() -> None:
    with torch.device('meta'):
        interaction = TightTransformer(512, heads=8)
    assert sum(p.numel() for p in interaction.parameters()) == 12_913_153


def test_initialised_from_clip(tmp_path: Path) -> None:
    clip, path = reference(CLIP), tmp_path / 'clip.pt'
    torch.save(clip.state_dict(), path)
    interaction = tiny(init_from=dict(model=CLIP, pretrained=str(path)))
    interaction.init_weights()
    assert torch.equal(interaction.positions, clip.positional_embedding[:9])
    x = torch.randn(2, 6, WIDTH)
    seen = torch.ones(2, 6, dtype=torch.bool)
    expected = clip.transformer(x)
    torch.testing.assert_close(interaction.blocks(x, seen), expected, atol=1e-4, rtol=1e-4)


def test_more_frames_than_positions_are_refused(interaction: TightTransformer) -> None:
    with pytest.raises(ValueError, match='9 frames, but max_frames=8'):
        interaction(*features(1, 1, t=9))


def test_released_names_and_back() -> None:
    size = dict(CLIP, quick_gelu=True)
    model = VideoTextModel(
        backbone=dict(type='mmstan.FrameEncoder', tower=dict(type='mmstan.ImageTower', model=size)),
        text_tower=dict(type='mmstan.TextTower', model=size),
        head=dict(
            type='mmstan.RetrievalHead',
            interaction=dict(type='mmstan.TightTransformer', width=16, heads=2, layers=2),
            scale=1.0,
        ),
    )
    ours = model.state_dict()
    released = clip4clip.to_released(ours)
    assert {name.split('.')[0] for name in released} == {'clip', 'cross', 'similarity_dense'}
    assert len(released['cross.embeddings.position_embeddings.weight']) == 77
    with mock.patch.object(key_map, 'print_log') as log:
        again = clip4clip.from_released({**released, 'clip.logit_scale': torch.zeros(())})
    said = '1 tensor dropped, which a tight transformer does not read: clip.logit_scale'
    log.assert_called_once_with(said, 'current')
    assert again.keys() == ours.keys()
    assert all(torch.equal(again[key], ours[key]) for key in ours)
    released['cross.embeddings.token_type_embeddings.weight'] = torch.zeros(2, 16)
    with pytest.raises(ValueError, match='1 tensors left over: cross'):
        clip4clip.from_released(released)
