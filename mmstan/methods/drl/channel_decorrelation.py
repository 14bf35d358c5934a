"""DRL's regulariser: the channels of matched tokens and frames agree, and differ from one another.

Letters: n pairs, J tokens of a text, T frames of a video, D joint space.
"""

from __future__ import annotations

from typing import Literal

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmstan.methods.drl.token_wise import TokenWise, WeightedTokenWise, weigh_evenly
from mmstan.models.features import TextFeatures, VideoFeatures, l2_normalise
from mmstan.models.interactions.base import Interaction
from mmstan.registry import MODELS
from mmstan.wording import check_choice

Pairs = Literal['random', 'partners', 'weighted']


@MODELS.register_module()
class ChannelDecorrelation(BaseModule):
    """Channel decorrelation regularisation, CDCR (DRL): an extra loss of matching pairs.

    Every token is paired with the frame of its own video that is most similar, and every frame with
    such a token. With a and b (P, D) the unit features of P pairs, each channel standardised over
    the pairs, and a weight p of each pair::

        C    = a^T diag(p) b                                       (D, D)
        loss = alpha1 sum_i (C_ii - 1)^2 + alpha2 sum_{i != j} C_ij^2

    C is the mean of the tokens' pairs and the frames'.

    Args:
        pairs: ``'random'`` takes one token and one frame of each pair of text and video,
            ``'partners'`` all of them with the same weight, ``'weighted'`` all of them with the
            weights of a weighted token-wise interaction, divided by n. DRL's ``cdcr`` 1, 2 and 3.
        alpha1: Factor of the diagonal.
        alpha2: Factor of the rest; 0 in the released scripts, so that nothing is decorrelated.
        weight: Factor of the whole, DRL's ``cdcr_lambda``.
    """

    def __init__(
        self,
        *,
        pairs: Pairs = 'weighted',
        alpha1: float = 1.0,
        alpha2: float = 0.06,
        weight: float = 1e-3,
    ) -> None:
        super().__init__()
        check_choice('pairs', pairs, Pairs)
        self.pairs, self.alpha1, self.alpha2, self.weight = pairs, alpha1, alpha2, weight

    def forward(self, interaction: Interaction, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """The loss of n texts and their videos, times ``weight``.

        Args:
            interaction: A token-wise one, which weighs tokens and frames.
            text: n texts.
            video: n videos; text i belongs to video i.

        Raises:
            ValueError: The interaction weighs no tokens.
        """
        if not isinstance(interaction, TokenWise | WeightedTokenWise):
            raise ValueError(
                f'CDCR needs an interaction that weighs tokens (mmstan.WeightedTokenWise), got '
                f'{type(interaction).__name__}; take another one, or leave the regulariser out'
            )
        with torch.autocast(text.tokens.device.type, enabled=False):
            tokens, frames = l2_normalise(text.tokens), l2_normalise(video.frames)
            if self.pairs == 'random':
                chosen = _draw(text.mask), _draw(video.mask)
                a, b = (
                    x.take_along_dim(i[:, :, None], 1)[:, 0]
                    for x, i in zip((tokens, frames), chosen)
                )
                return self._penalise(_correlate(a, b, a.new_full((len(a),), 1 / len(a))))
            weights = self._weigh(interaction, text, video)
            similarity = tokens @ frames.mT  # (n, J, T), each token with the frames of its video
            of_tokens = _find_partners(similarity, video.mask, frames)
            of_frames = _find_partners(similarity.mT, text.mask, tokens)
            # Two correlation matrices: real tokens with partners, and real frames with partners.
            first, second = (
                _correlate(x[mask], partner[mask], w[mask])
                for x, partner, mask, w in (
                    (tokens, of_tokens, text.mask, weights[0]),
                    (frames, of_frames, video.mask, weights[1]),
                )
            )
            return self._penalise((first + second) / 2)

    def _weigh(
        self, interaction: TokenWise | WeightedTokenWise, text: TextFeatures, video: VideoFeatures
    ) -> tuple[Tensor, Tensor]:
        """Weights of all tokens (n, J) and frames (n, T)."""
        if self.pairs == 'weighted':
            of_pairs = interaction.text_weights(text), interaction.video_weights(video)
            return of_pairs[0] / len(text.mask), of_pairs[1] / len(video.mask)
        return weigh_all(text.mask), weigh_all(video.mask)

    def _penalise(self, correlation: Tensor) -> Tensor:
        diagonal = correlation.diagonal()
        rest = correlation.square().sum() - diagonal.square().sum()
        loss = self.alpha1 * (diagonal - 1).square().sum() + self.alpha2 * rest
        return self.weight * loss


def weigh_all(mask: Tensor) -> Tensor:
    """Mask (n, K) -> the same weight for each real one of the batch, (n, K)."""
    return mask / mask.sum().clamp(min=1)


def _find_partners(similarity: Tensor, mask: Tensor, others: Tensor) -> Tensor:
    """Most similar real one of ``others``: (n, K, S), mask (n, S), (n, S, D) -> (n, K, D)."""
    best = similarity.masked_fill(~mask[:, None], -torch.inf).argmax(dim=2)
    return others.gather(1, best[:, :, None].expand(-1, -1, others.shape[2]))


def _correlate(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Channels of a with channels of b: (P, D), (P, D), weights (P) -> (D, D)."""
    a, b = ((x - x.mean(dim=0)) / x.std(dim=0) for x in (a, b))
    return (a * weights[:, None]).T @ b


def _draw(mask: Tensor) -> Tensor:
    """A real one of each row at random, (n, K) -> (n, 1)."""
    return torch.multinomial(weigh_evenly(mask).float(), 1)
