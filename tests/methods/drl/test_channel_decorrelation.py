"""DRL's regulariser CDCR by its definition; the golden cases are in tests/parity."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.text_video_features import DIM, features, random_features, randomised

from mmstan.methods.drl import ChannelDecorrelation, TokenWise, WeightedTokenWise
from mmstan.models import RetrievalHead
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.interactions import Cosine


@pytest.mark.parametrize('pairs', ['partners', 'weighted'])
def test_by_its_definition(pairs: Any) -> None:
    text, video = random_features(6, 6)
    interaction = randomised(WeightedTokenWise(DIM))
    w, u = interaction.text_weights(text), interaction.video_weights(video)
    sides = []
    for own, mask, weight, others, real in (
        (text.tokens, text.mask, w, video.frames, video.mask),
        (video.frames, video.mask, u, text.tokens, text.mask),
    ):
        a, b, p = [], [], []
        for i in range(6):
            candidates = F.normalize(others[i][real[i]], dim=-1)
            for k in mask[i].nonzero().flatten():
                one = F.normalize(own[i, k], dim=-1)
                a.append(one)
                b.append(candidates[(candidates @ one).argmax()])
                p.append(weight[i, k] / 6 if pairs == 'weighted' else 1 / mask.sum())
        a, b = (torch.stack(x) for x in (a, b))
        a, b = ((x - x.mean(0)) / x.std(0) for x in (a, b))
        sides.append(torch.einsum('pc,pd,p->cd', a, b, torch.stack(p)))
    c = sum(sides) / 2
    off = c - c.diag().diag()
    expected = 0.5 * (0.2 * (c.diag() - 1).square().sum() + 0.3 * off.square().sum())
    cdcr = ChannelDecorrelation(pairs=pairs, alpha1=0.2, alpha2=0.3, weight=0.5)
    torch.testing.assert_close(cdcr(interaction, text, video), expected, rtol=1e-4, atol=1e-5)


def test_random_pairs_are_of_real_tokens() -> None:
    text, video = random_features(8, 8)
    padded = TextFeatures(
        text.tokens.masked_fill(~text.mask[:, :, None], torch.nan), text.sentence, text.mask
    )
    frames = video.frames.masked_fill(~video.mask[:, :, None], torch.nan)
    cdcr = ChannelDecorrelation(pairs='random')
    torch.manual_seed(0)
    first, second = (cdcr(TokenWise(), padded, VideoFeatures(frames, video.mask)) for _ in range(2))
    assert first.isfinite() and second.isfinite() and first != second


def test_a_head_adds_it_to_its_losses() -> None:
    text, video = features(4, 4, dim=DIM)
    config = dict(type='mmstan.ChannelDecorrelation', alpha1=0.11, alpha2=0.0)
    head = RetrievalHead(dict(type='mmstan.WeightedTokenWise', dim=DIM), regulariser=config)
    losses = head.loss(text, video)
    assert losses.keys() == {'loss_t2v', 'loss_v2t', 'loss_regulariser'}
    own = head.regulariser(head.interaction, text, video)
    torch.testing.assert_close(losses['loss_regulariser'], own)
    assert own > 0


def test_interactions_without_weights_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r'weighs tokens \(mmstan\.WeightedTokenWise\), got Cosine'
    ):
        ChannelDecorrelation()(Cosine(), *features(3, 3))
    with pytest.raises(ValueError, match="pairs='all' must be one of"):
        ChannelDecorrelation(pairs='all')
