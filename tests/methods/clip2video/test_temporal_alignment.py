"""CLIP2Video's alignment block: its definition, masks, parameters, losses and released names."""

import pytest
import torch
import torch.nn.functional as F
from helpers.frame_masks import samples
from helpers.text_video_features import features
from helpers.tiny_models import CLIP, shaken

from mmstan.methods.clip2video import TemporalAlignment, TemporalDifference
from mmstan.methods.clip2video import checkpoints as clip2video
from mmstan.models import RetrievalHead, VideoTextModel
from mmstan.models.features import VideoFeatures

PARTS = [dict(type='mmstan.Cosine'), dict(type='mmstan.TemporalAlignment', dim=16)]


def test_alignment_by_its_definition() -> None:
    block = shaken(TemporalAlignment(8, centres=3))
    tokens, mask = torch.randn(2, 5, 8), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]).bool()
    for row, real, found in zip(tokens, mask, block.align(tokens, mask)):
        parts = torch.zeros(3, 8)
        for x in row[real]:
            for k, a in enumerate((block.assignment @ x).softmax(0)):
                parts[k] += a * (x - block.centres[k])
        expected = F.normalize(F.normalize(parts, dim=1).mean(0), dim=0)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_start_of_a_text_and_padding_are_not_read() -> None:
    block = shaken(TemporalAlignment(8))
    text, video = features()
    video = VideoFeatures(video.frames, video.mask, torch.randn(4, 5, 8))  # 3 frames, and 2
    expected = block(text, video)
    text.tokens[:, 0] = 9.0
    text.tokens[~text.mask] = torch.nan
    hidden = ~torch.cat([video.mask, video.mask[:, ::2]], dim=1)
    tokens = video.tokens.masked_fill(hidden[:, :, None], torch.nan)
    torch.testing.assert_close(block(text, video._replace(tokens=tokens)), expected)
    with pytest.raises(ValueError, match='alignment=True'):
        block(text, video._replace(tokens=None))


def test_parameters_are_the_releases() -> None:
    with torch.device('meta'):
        necks = [TemporalDifference(512, heads=8, alignment=x) for x in (False, True)]
        block = TemporalAlignment(512)
    plain, more, own = (sum(p.numel() for p in x.parameters()) for x in (*necks, block))
    assert more - plain + own == 3_157_504


@torch.no_grad()
def test_the_neck_adds_every_second_frame_behind_its_own_block() -> None:
    neck = shaken(TemporalDifference(16, heads=2, layers=1, max_frames=8, alignment=True)).eval()
    x, mask = torch.randn(2, 5, 16), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    (frames, tokens), losses = neck(x, samples(mask))
    assert tokens.shape == (2, 8, 16) and losses == {}
    torch.testing.assert_close(tokens[:, :5], x)
    neck.blocks = neck.alignment_blocks
    (second, _), _ = neck(x[:, ::2], samples(mask[:, ::2]))
    torch.testing.assert_close(tokens[:, 5:], second)
    assert frames.shape == x.shape and not frames[1, 3:].any()


def test_each_half_of_the_score_has_a_loss() -> None:
    text, video = features(4, 4, dim=16)
    video = VideoFeatures(video.frames, video.mask, torch.randn(4, 5, 16))
    head = RetrievalHead(dict(type='mmstan.Average', parts=PARTS), scale=7.0)
    shaken(head)
    main, aligned = (part(text, video) for part in head.interaction.terms)
    torch.testing.assert_close(head(text, video), (main + aligned) / 2)
    target = torch.arange(4)
    expected = [
        (F.cross_entropy(7 * m, target) + F.cross_entropy(7 * a, target)) / 2
        for m, a in ((main, aligned), (main.T, aligned.T))
    ]
    losses = head.loss(text, video)
    torch.testing.assert_close([losses['loss_t2v'], losses['loss_v2t']], expected)
    with pytest.raises(ValueError, match='a mean is of two interactions or more'):
        RetrievalHead(dict(type='mmstan.Average', parts=PARTS[:1]))


def test_released_names_and_back() -> None:
    model = dict(CLIP, quick_gelu=True)
    tower = dict(type='mmstan.ImageTower', model=model)
    built = VideoTextModel(
        backbone=dict(type='mmstan.FrameEncoder', tower=tower),
        text_tower=dict(type='mmstan.TextTower', model=model),
        neck=dict(type='mmstan.TemporalDifference', width=16, heads=2, alignment=True),
        head=dict(
            type='mmstan.RetrievalHead',
            interaction=dict(type='mmstan.Average', parts=PARTS),
            trainable_scale=True,
        ),
    )
    ours = built.state_dict()
    released = clip2video.to_released(ours)
    again = clip2video.from_released(released, parts=('difference', 'alignment'))
    assert again.keys() == ours.keys()
    assert all(torch.equal(again[key], ours[key]) for key in ours)
    without = clip2video.from_released(released)  # the first block alone
    assert {k.rsplit('.', 3)[0] for k in ours.keys() - without.keys()} >= {
        'neck.alignment_blocks.0'
    }
    with pytest.raises(ValueError, match="parts='all' must be one of"):
        clip2video.from_released(released, parts=('all',))
