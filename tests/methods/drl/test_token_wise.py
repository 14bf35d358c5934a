"""Token-wise and weighted token-wise interactions: DRL's numbers, masks, tiles, gradients."""

import pytest
import torch
import torch.nn.functional as F
from helpers.text_video_features import DIM, random_features, randomised, text_features
from torch import Tensor

from mmstan.methods.drl import TokenWise, WeightedTokenWise
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.interactions import Interaction


@pytest.fixture(params=['ti', 'wti'])
def interaction(request: pytest.FixtureRequest) -> Interaction:
    return TokenWise() if request.param == 'ti' else randomised(WeightedTokenWise(DIM))


def reference(interaction: Interaction, text: TextFeatures, video: VideoFeatures) -> Tensor:
    """The definition, all pairs at once."""
    s = torch.einsum(
        'ajd,btd->abjt', F.normalize(text.tokens, dim=-1), F.normalize(video.frames, dim=-1)
    )
    no_token, no_frame = ~text.mask[:, None, :, None], ~video.mask[None, :, None]
    best_frame = s.masked_fill(no_frame, -torch.inf).amax(3)
    best_token = s.masked_fill(no_token, -torch.inf).amax(2)
    w, u = interaction.text_weights(text), interaction.video_weights(video)
    return (
        torch.einsum('abj,aj->ab', best_frame, w) + torch.einsum('abt,bt->ab', best_token, u)
    ) / 2


# What DRL's own functions give on these texts and videos.
GOLDEN_TEXT = text_features(
    torch.tensor([[[1.0, 0], [0, 2], [3, 4]], [[1, 1], [-1, 2], [0, 0.5]]]),
    torch.tensor([[True, True, True], [True, True, False]]),
)
GOLDEN_VIDEO = VideoFeatures(
    torch.tensor([[[2.0, 1], [0, 1]], [[1, -1], [3, 1]]]), torch.ones(2, 2, dtype=torch.bool)
)


def test_golden_token_wise() -> None:
    golden = torch.tensor([[0.938416, 0.761798], [0.921555, 0.411858]])
    torch.testing.assert_close(TokenWise()(GOLDEN_TEXT, GOLDEN_VIDEO), golden, atol=1e-6, rtol=0)


def test_golden_weighted_token_wise() -> None:
    interaction = WeightedTokenWise(2, layers=1)
    text_net, video_net = ([[1.0, -1.0]], [0.5]), ([[0.5, 2.0]], [0.0])
    interaction.load_state_dict(
        {
            f'{side}_net.0.{name}': torch.tensor(value)
            for side, net in (('text', text_net), ('video', video_net))
            for name, value in zip(('weight', 'bias'), net)
        }
    )
    golden = torch.tensor([[0.910841, 0.927368], [0.940101, 0.866871]])
    similarity = interaction(GOLDEN_TEXT, GOLDEN_VIDEO)
    torch.testing.assert_close(similarity, golden, atol=1e-6, rtol=0)


def test_padded_batch_equals_single_samples(interaction: Interaction) -> None:
    text, video = random_features(4, 3)
    video.frames[1] = -text.tokens[2, 0]  # all its similarities with that token are -1
    text.tokens[~text.mask] = 100 * torch.randn_like(text.tokens[~text.mask])
    video.frames[~video.mask] = 100 * torch.randn_like(video.frames[~video.mask])
    batch = interaction(text, video)
    for i, tokens in enumerate(text.tokens):
        for k, frames in enumerate(video.frames):
            real, seen = tokens[text.mask[i]][None], frames[video.mask[k]][None]
            alone = interaction(
                text_features(real, torch.ones(real.shape[:2], dtype=torch.bool)),
                VideoFeatures(seen, torch.ones(seen.shape[:2], dtype=torch.bool)),
            )
            torch.testing.assert_close(batch[i, k], alone[0, 0])


def test_tiled_equals_whole(interaction: Interaction) -> None:
    text, video = random_features(61, 53, j=32, t=12, grad=True)  # 2,700 pairs are a tile
    inputs = [text.tokens, video.frames, *interaction.parameters()]
    direction = torch.randn(61, 53)
    results = []
    for function in (interaction, lambda *both: reference(interaction, *both)):
        similarity = function(text, video)
        gradients = torch.autograd.grad((similarity * direction).sum(), inputs)
        results.append((similarity.detach(), *gradients))
    for ours, whole in zip(*results):
        torch.testing.assert_close(ours, whole, atol=1e-4, rtol=1e-4)


def test_nothing_real_is_zero_and_not_nan(interaction: Interaction) -> None:
    text, video = random_features(3, 3, grad=True)
    text.mask[1], video.mask[2] = False, False
    similarity = interaction(text, video)
    empty = torch.zeros(3, 3, dtype=torch.bool)
    empty[1], empty[:, 2] = True, True
    assert torch.equal(similarity == 0, empty)
    for gradient in torch.autograd.grad(similarity.sum(), [text.tokens, video.frames]):
        assert gradient.isfinite().all()
        assert gradient.any()
    assert not interaction.text_weights(text)[1].any()


def test_weights(interaction: Interaction) -> None:
    text, video = random_features(5, 4)
    for weights, mask in (
        (interaction.text_weights(text), text.mask),
        (interaction.video_weights(video), video.mask),
    ):
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(mask)))
        assert torch.equal(weights > 0, mask)


def test_weights_are_of_features_as_they_are() -> None:
    text, video = random_features(5, 4)
    weighted = randomised(WeightedTokenWise(DIM))
    larger = text._replace(tokens=3 * text.tokens)
    assert not torch.allclose(weighted.text_weights(larger), weighted.text_weights(text))
    torch.testing.assert_close(TokenWise()(larger, video), TokenWise()(text, video))


@pytest.mark.parametrize(('layers', 'parameters'), [(1, 1_026), (2, 526_338), (3, 1_051_650)])
def test_networks(layers: int, parameters: int) -> None:
    interaction = WeightedTokenWise(512, layers=layers)
    assert sum(p.numel() for p in interaction.parameters()) == parameters
    for name, parameter in interaction.named_parameters():
        if name.endswith('bias'):
            assert not parameter.any()
        else:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.15)


def test_float32_under_autocast(interaction: Interaction) -> None:
    text, video = random_features(3, 4)
    expected = interaction(text, video)
    with torch.autocast('cpu', torch.bfloat16):
        similarity = interaction(text, video)
    assert similarity.dtype == torch.float32
    assert torch.equal(similarity, expected)
    half = interaction(
        text._replace(tokens=text.tokens.bfloat16()), video._replace(frames=video.frames.bfloat16())
    )
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, expected, atol=0.05, rtol=0)


def test_other_depths_are_refused() -> None:
    with pytest.raises(ValueError, match='layers=4 must be one of 1, 2, 3'):
        WeightedTokenWise(DIM, layers=4)
