"""Mug, mutual-guided alignment (Mug-STAN, III-C): frames and words weigh one another.

Letters: A texts of J tokens, B videos of T frames, D joint space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from mmstan.models.features import TextFeatures, VideoFeatures, average_real_frames, l2_normalise
from mmstan.models.interactions.base import Interaction
from mmstan.models.layers.tiles import score_in_tiles
from mmstan.models.sizes import Sizes
from mmstan.registry import MODELS
from mmstan.wording import check_choice

Form = Literal['exact', 'simple', 'sentence', 'mean']
TextSide = Literal['tokens', 'sentence']
VideoSide = Literal['frames', 'mean', 'tokens']
_MASKED = -1e30  # gives weight 0; where all is masked, even weights and not NaN as from -inf


@MODELS.register_module()
class Mug(Interaction):
    """Similarity of A texts and B videos; each side weighs the tokens of the other.

    Parameter-free. With unit tokens W (J, D), unit frames V (T, D), S = W V^T and sharpness tau::

        a_j = sum_t softmax_t(tau S_jt) S_jt     score of token j with the video (Eq. 15-16)
        b_t = sum_j softmax_j(tau S_jt) S_jt     score of frame t with the text (Eq. 11-12)
        w   = softmax_j(tau a), u = softmax_t(tau b)                          (Eq. 17, 13)
        similarity = (sum_j w_j W_j) . (sum_t u_t V_t) = w^T S u              (Eq. 14, 18, 19)

    So no tensor of width D is formed after S. Padding of either side takes no part. Computed in
    tiles (:func:`score_in_tiles`): memory does not grow with A * B * J * T.

    Args:
        sharpness: tau.
        form: ``'exact'`` as above; ``'simple'`` is (w.a + u.b) / 2, with which the released models
            were trained; ``'sentence'`` is the similarity of the sentence and the frames as the
            tokens weigh them, as the paper describes "Frame-Text"; ``'mean'`` is the similarity of
            the tokens as the frames weigh them and the mean of the frames, ``w^T S 1 / T``, as it
            describes "Video-Token".
        text: All ``'tokens'``, or the ``'sentence'`` alone ("Frame-Text" of the released code).
        video: ``'frames'``; the ``'mean'`` of the frames, not normalised again, which also chooses
            the tokens (another reading of "Video-Token"); or all ``'tokens'``, patches too
            ("Token-Token").
        top_k: The mean of the k best in place of each softmax (Mug-STAN Table VIII).
        compiled: Fuse the tiles with ``torch.compile``. Off by default: not checked on GPUs.
    """

    def __init__(
        self,
        *,
        sharpness: float = 100.0,
        form: Form = 'exact',
        text: TextSide = 'tokens',
        video: VideoSide = 'frames',
        top_k: int | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        choices = (('form', form, Form), ('text', text, TextSide), ('video', video, VideoSide))
        for name, value, allowed in choices:
            check_choice(name, value, allowed)
        if form == 'sentence' and text == 'sentence':
            raise ValueError("form='sentence' needs text='tokens', which choose the frames")
        if top_k is not None and top_k < 1:
            raise ValueError(f'top_k={top_k} must be at least 1, or None for the softmax')
        self.sharpness, self.form, self.top_k = sharpness, form, top_k
        self.text, self.video, self.compiled = text, video, compiled
        self.reads_text_tokens = text == 'tokens'
        self.reads_video_tokens = video == 'tokens'
        tile = partial(_score_tile, attention=self._attention, form=form)
        self._tile: Callable[..., Tensor] = torch.compile(tile) if compiled else tile

    @classmethod
    def narrowed(cls, cfg: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        """The settings of the config ``cfg`` that change in its narrow form.

        The paper's sharpness of 100 is for CLIP's features.
        """
        return dict(sharpness=sizes.sharpness) if sizes.sharpness else {}

    def forward(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Similarities (A, B)."""
        with torch.autocast(text.sentence.device.type, enabled=False):
            texts, videos = self._select_tokens(text), self._select_frames(video)
            per_pair = texts[0].shape[1] * videos[0].shape[1]
            return score_in_tiles(self._tile, texts, videos, per_pair=per_pair)

    def weights(self, text: TextFeatures, video: VideoFeatures) -> PairWeights:
        """Weights of the tokens and of the frames for each pair of a text and a video."""
        with torch.autocast(text.sentence.device.type, enabled=False):
            texts, videos = self._select_tokens(text), self._select_frames(video)
            found = guide(*texts, *videos, self._attention)
        return PairWeights(found.token_weight.transpose(1, 2), found.frame_weight)

    def _select_tokens(self, text: TextFeatures) -> tuple[Tensor, Tensor]:
        """Unit tokens (A, J, D) and their mask (A, J)."""
        if self.text == 'sentence':
            return l2_normalise(text.sentence)[:, None], text.mask.new_ones(text.mask.shape[0], 1)
        return l2_normalise(text.tokens), text.mask

    def _select_frames(self, video: VideoFeatures) -> tuple[Tensor, Tensor]:
        """Unit frames (B, T, D), or their mean, or all tokens; and the mask (B, T)."""
        if self.video == 'mean':
            mean = average_real_frames(l2_normalise(video.frames), video.mask)[:, None]
            return mean, video.mask.new_ones(mean.shape[0], 1)
        if self.video == 'frames':
            return l2_normalise(video.frames), video.mask
        if video.tokens is None:
            raise ValueError("video='tokens' needs the tokens of the videos, and there are none")
        per_frame = video.tokens.shape[1] // video.mask.shape[1]
        return l2_normalise(video.tokens), video.mask.repeat_interleave(per_frame, dim=1)

    @property
    def _attention(self) -> Callable[[Tensor, Tensor, int], Tensor]:
        """Scores, mask to add, dimension -> weights over the dimension."""
        if self.top_k is None:
            return partial(_weigh_by_softmax, sharpness=self.sharpness)
        return partial(_weigh_best, k=self.top_k)


def _weigh_by_softmax(scores: Tensor, masked: Tensor, dim: int, *, sharpness: float) -> Tensor:
    """Softmax of ``sharpness * scores``, without padding."""
    return torch.add(masked, scores, alpha=sharpness).softmax(dim)


def _weigh_best(scores: Tensor, masked: Tensor, dim: int, *, k: int) -> Tensor:
    """The k best real scores with equal weights; 0 everywhere if none is real."""
    best = (scores + masked).topk(min(k, scores.shape[dim]), dim).indices
    chosen = torch.zeros_like(scores).scatter(dim, best, 1.0) * (masked == 0)
    return chosen / chosen.sum(dim, keepdim=True).clamp(min=1)


class PairWeights(NamedTuple):
    """Weights in the pairs of A texts of J tokens and B videos of T frames."""

    tokens: Tensor
    """w, (A, B, J), summing to 1 over J."""
    frames: Tensor
    """u, (A, B, T), summing to 1 over T."""


class Guidance(NamedTuple):
    """Scores and weights that texts and videos give each other."""

    similarity: Tensor
    """S: every token with every frame, (A, J, B, T)."""
    token_score: Tensor
    """a: score of each token with the video, (A, J, B) (Eq. 15-16)."""
    frame_score: Tensor
    """b: score of each frame with the text, (A, B, T) (Eq. 11-12)."""
    token_weight: Tensor
    """w: weight of each token, (A, J, B), summing to 1 over J (Eq. 17)."""
    frame_weight: Tensor
    """u: weight of each frame, (A, B, T), summing to 1 over T (Eq. 13)."""


def guide(
    tokens: Tensor,
    token_mask: Tensor,
    frames: Tensor,
    frame_mask: Tensor,
    attention: Callable[[Tensor, Tensor, int], Tensor],
) -> Guidance:
    """Let tokens weigh frames, and frames weigh tokens.

    Args:
        tokens: Unit tokens (A, J, D).
        token_mask: True for real tokens (A, J).
        frames: Unit frames (B, T, D).
        frame_mask: True for real frames (B, T).
        attention: Scores, a term that hides padding, dimension -> weights over the dimension.
    """
    # Every token with every frame, by one product of (A*J, D) and (D, B*T).
    similarity = (tokens.flatten(0, 1) @ frames.flatten(0, 1).T).unflatten(0, tokens.shape[:2])
    similarity = similarity.unflatten(2, frames.shape[:2])  # (A, J, B, T)
    # Added to scores: 0 for real tokens and frames, -1e30 for padding.
    hidden_tokens = torch.where(token_mask, 0.0, _MASKED)[:, :, None]  # (A, J, 1)
    hidden_frames = torch.where(frame_mask, 0.0, _MASKED)  # (B, T)
    # Softmax over the frames for a token (Eq. 15-16), over the tokens for a frame (Eq. 11-12).
    token_score = (attention(similarity, hidden_frames, 3) * similarity).sum(3)  # (A, J, B)
    frame_score = (attention(similarity, hidden_tokens[..., None], 1) * similarity).sum(1)
    # A high score earns a high weight: Eq. 17 for tokens, Eq. 13 for frames.
    token_weight = attention(token_score, hidden_tokens, 1)
    frame_weight = attention(frame_score, hidden_frames, 2)
    return Guidance(similarity, token_score, frame_score, token_weight, frame_weight)


def _score_tile(
    tokens: Tensor,
    token_mask: Tensor,
    frames: Tensor,
    frame_mask: Tensor,
    *,
    attention: Callable[[Tensor, Tensor, int], Tensor],
    form: Form,
) -> Tensor:
    """One tile: similarities (A, B) of its A texts and B videos."""
    found = guide(tokens, token_mask, frames, frame_mask, attention)
    w, u = found.token_weight, found.frame_weight
    if form == 'simple':  # each side's weights on its own scores, (w.a + u.b) / 2
        return ((w * found.token_score).sum(1) + (u * found.frame_score).sum(2)) / 2
    if form == 'sentence':
        # The last real token is the sentence: end of text, or CoCa's class token.
        last = token_mask.shape[1] - 1 - token_mask.flip(1).int().argmax(1)  # (A)
        rows = torch.arange(last.shape[0], device=last.device)
        return (found.similarity[rows, last] * u).sum(2)
    if form == 'mean':  # each real frame counts the same
        u = (frame_mask / frame_mask.sum(1, keepdim=True).clamp(min=1)).expand_as(u)
    # The weighted tokens times the weighted frames is w^T S u (Eq. 14, 18, 19).
    return (w * (found.similarity * u[:, None]).sum(3)).sum(1)
