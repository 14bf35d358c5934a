"""Token-wise interactions of DRL: every token is compared with its best frame, and vice versa."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from mmstan.models.features import TextFeatures, VideoFeatures, l2_normalise
from mmstan.models.interactions.base import Interaction
from mmstan.models.layers.tiles import score_in_tiles
from mmstan.registry import MODELS
from mmstan.wording import check_choice

_MASKED = -4.0  # added to a cosine (-1 to 1), so padding is below every real one


@MODELS.register_module()
class TokenWise(Interaction):
    """Token-wise interaction, TI (DRL).

    With S (J, T) the cosines of tokens and frames::

        similarity = (mean_j max_t S_jt + mean_t max_j S_jt) / 2

    over real tokens and frames; 0 if there is none. Computed in tiles (:func:`score_in_tiles`).
    """

    def forward(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Similarities (A, B)."""
        return compare_token_wise(text, video, self.text_weights(text), self.video_weights(video))

    def text_weights(self, text: TextFeatures) -> Tensor:
        """Weight of each token, (A, J): the same for all real ones."""
        return weigh_evenly(text.mask)

    def video_weights(self, video: VideoFeatures) -> Tensor:
        """Weight of each frame, (B, T): the same for all real ones."""
        return weigh_evenly(video.mask)


@MODELS.register_module()
class WeightedTokenWise(Interaction):
    """Weighted token-wise interaction, WTI (DRL).

    With S (J, T) the cosines of tokens W and frames V, and two small networks g, h::

        similarity = (sum_j w_j max_t S_jt + sum_t u_t max_j S_jt) / 2
        w = softmax_j g(W), u = softmax_t h(V)

    over real tokens and frames; 0 if there is none. The networks read the features without
    normalisation. Computed in tiles (:func:`score_in_tiles`).

    Args:
        dim: D, width of the joint space.
        layers: Linear layers of g and of h, with ReLU in between; DRL's ``wti_arch``.
    """

    def __init__(self, dim: int, *, layers: Literal[1, 2, 3] = 2) -> None:
        super().__init__()
        check_choice('layers', layers, (1, 2, 3))
        self.text_net, self.video_net = build_weight_net(dim, layers), build_weight_net(dim, layers)

    def forward(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Similarities (A, B)."""
        return compare_token_wise(text, video, self.text_weights(text), self.video_weights(video))

    def text_weights(self, text: TextFeatures) -> Tensor:
        """Weight w of each token, (A, J): sums to 1, and is 0 at padding."""
        return weigh_features(self.text_net, text.tokens, text.mask)

    def video_weights(self, video: VideoFeatures) -> Tensor:
        """Weight u of each frame, (B, T): sums to 1, and is 0 at padding."""
        return weigh_features(self.video_net, video.frames, video.mask)


def build_weight_net(dim: int, layers: int) -> nn.Sequential:
    """A network of ``layers`` linear layers with ReLU in between: (..., D) -> (..., 1)."""
    hidden = [m for _ in range(layers - 1) for m in (nn.Linear(dim, dim), nn.ReLU())]
    net = nn.Sequential(*hidden, nn.Linear(dim, 1))
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
    return net


def weigh_evenly(mask: Tensor) -> Tensor:
    """Mask (M, K) -> weights (M, K): 1 / n for each of a row's n real ones."""
    return mask / mask.sum(dim=1, keepdim=True).clamp(min=1)


def weigh_features(net: nn.Module, features: Tensor, mask: Tensor) -> Tensor:
    """Softmax of ``net`` over the real ones: features (M, K, D), mask (M, K) -> (M, K)."""
    with torch.autocast(features.device.type, enabled=False):
        scores = net(features.float()).squeeze(-1)
    # Not -inf: the softmax of a row that is all padding would be NaN.
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=1) * mask


def compare_token_wise(text: TextFeatures, video: VideoFeatures, w: Tensor, u: Tensor) -> Tensor:
    """Similarities (A, B) under weights w (A, J) of the tokens and u (B, T) of the frames."""
    with torch.autocast(text.tokens.device.type, enabled=False):
        texts = l2_normalise(text.tokens), text.mask, w
        videos = l2_normalise(video.frames), video.mask, u
        per_pair = text.mask.shape[1] * video.mask.shape[1]
        similarity = score_in_tiles(_compare_tile, texts, videos, per_pair=per_pair)
    return similarity * text.mask.any(dim=1)[:, None] * video.mask.any(dim=1)


def _compare_tile(
    tokens: Tensor, token_mask: Tensor, w: Tensor, frames: Tensor, frame_mask: Tensor, u: Tensor
) -> Tensor:
    """One tile: unit tokens (a, J, D) and unit frames (b, T, D) -> similarities (a, b)."""
    # Every token with every frame, by one product of (a*J, D) and (D, b*T).
    s = tokens.flatten(0, 1) @ frames.flatten(0, 1).T
    s = s.unflatten(0, tokens.shape[:2]).unflatten(2, frames.shape[:2])  # (a, J, b, T)
    no_token = torch.where(token_mask, 0.0, _MASKED)[:, :, None, None]
    no_frame = torch.where(frame_mask, 0.0, _MASKED)
    # max_t S for every token, max_j S for every frame, among the real ones.
    best_frame = (s + no_frame).amax(dim=3)  # (a, J, b)
    best_token = (s + no_token).amax(dim=1)  # (a, b, T)
    return ((w[:, :, None] * best_frame).sum(dim=1) + (u * best_token).sum(dim=2)) / 2
