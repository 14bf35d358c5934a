"""The Hunyuan-like interaction: it starts as WTI, its weights have seen the other tokens."""

import torch
from helpers.text_video_features import random_features, randomised, text_features

from mmstan.methods.drl import WeightedTokenWise
from mmstan.methods.hunyuan_like import HunyuanLike
from mmstan.models.features import VideoFeatures

DIM = 6


def tiny() -> HunyuanLike:
    return HunyuanLike(DIM, heads=2)


def test_it_starts_as_weighted_token_wise_interaction() -> None:
    ours, weighted = tiny(), WeightedTokenWise(DIM, layers=1)
    for name in ('text_net', 'video_net'):
        torch.nn.init.normal_(getattr(ours, name)[0].weight)
        getattr(weighted, name).load_state_dict(getattr(ours, name).state_dict())
    both = random_features(4, 3)
    torch.testing.assert_close(ours(*both), weighted(*both))
    torch.nn.init.normal_(ours.video_blocks[0].mlp.c_proj.weight)
    assert not torch.allclose(ours(*both), weighted(*both))


def test_weights_have_seen_the_other_tokens() -> None:
    """What two tokens weigh against each other depends on a third, as it does not in WTI."""
    changes = []
    for interaction in (randomised(tiny()), randomised(WeightedTokenWise(DIM, layers=1))):
        text, _ = random_features(2, 2)
        text.mask[:] = True
        ratios = []
        for _ in range(2):
            weights = interaction.text_weights(text)
            torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
            ratios.append((weights[:, 0] / weights[:, 1]).log())
            text.tokens[:, -1] = torch.randn(DIM)
        changes.append((ratios[0] - ratios[1]).abs().max())
    assert changes[0] > 0.01 > 1e-4 > changes[1]


def test_padded_batch_equals_single_samples() -> None:
    ours = randomised(tiny())
    text, video = random_features(4, 3)
    text.tokens[~text.mask] = 100 * torch.randn_like(text.tokens[~text.mask])
    video.frames[~video.mask] = 100 * torch.randn_like(video.frames[~video.mask])
    batch = ours(text, video)
    for i, tokens in enumerate(text.tokens):
        for k, frames in enumerate(video.frames):
            real, seen = tokens[text.mask[i]][None], frames[video.mask[k]][None]
            alone = ours(
                text_features(real, torch.ones(real.shape[:2], dtype=torch.bool)),
                VideoFeatures(seen, torch.ones(seen.shape[:2], dtype=torch.bool)),
            )
            torch.testing.assert_close(batch[i, k], alone[0, 0])


def test_gradients_also_beside_an_empty_video() -> None:
    ours = randomised(tiny())
    text, video = random_features(4, 3, grad=True)
    video.mask[1] = False
    (ours(text, video) * torch.randn(4, 3)).sum().backward()
    assert not video.frames.grad[1].any()
    for name, parameter in ours.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or name.endswith('_net.0.bias'), name  # softmax does not see it


def test_float32_under_autocast() -> None:
    ours, (text, video) = randomised(tiny()), random_features(3, 4)
    with torch.autocast('cpu', torch.bfloat16):
        similarity = ours(text, video)
    assert torch.equal(similarity, ours(text, video))


def test_parameters() -> None:
    with torch.device('meta'):
        ours = HunyuanLike(512)
    assert sum(p.numel() for p in ours.parameters()) == 2 * 3_152_384 + 1_026
