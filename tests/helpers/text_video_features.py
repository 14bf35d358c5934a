"""Random features of texts and videos, for tests of interactions."""

import torch
from torch import Tensor

from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.interactions import Interaction

DIM = 6


def text_features(tokens: Tensor, mask: Tensor) -> TextFeatures:
    return TextFeatures(tokens, tokens[:, -1], mask)


def random_features(
    a: int, b: int, j: int = 5, t: int = 4, *, grad: bool = False
) -> tuple[TextFeatures, VideoFeatures]:
    """Texts and videos with at least one real token or frame each."""
    tokens = torch.randn(a, j, DIM, requires_grad=grad)
    frames = torch.randn(b, t, DIM, requires_grad=grad)
    token_mask = torch.arange(j) < torch.randint(1, j + 1, (a, 1))
    frame_mask = torch.arange(t) < torch.randint(1, t + 1, (b, 1))
    return text_features(tokens, token_mask), VideoFeatures(frames, frame_mask)


def features(
    texts: int = 5,
    videos: int = 4,
    *,
    length: int = 6,
    frames: int = 3,
    dim: int = 8,
    seed: int = 0,
) -> tuple[TextFeatures, VideoFeatures]:
    """Random texts and videos of different lengths; the end of text is the sentence."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(texts, length, dim, generator=generator)
    lengths = torch.arange(texts) % (length - 1) + 2
    mask = torch.arange(length) < lengths[:, None]
    sentence = tokens[torch.arange(texts), lengths - 1]
    frame_mask = torch.arange(frames) < (torch.arange(videos) % frames + 1)[:, None]
    patches = torch.randn(videos, frames * 5, dim, generator=generator)
    video = torch.randn(videos, frames, dim, generator=generator)
    return TextFeatures(tokens, sentence, mask), VideoFeatures(video, frame_mask, patches)


def randomised(interaction: Interaction) -> Interaction:
    """With weights far from even."""
    for parameter in interaction.parameters():
        torch.nn.init.normal_(parameter)
    return interaction
