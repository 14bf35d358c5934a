"""A model on a batch that its preprocessor has seen: predictions, features, similarities."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmstan.models.features import VideoFeatures, frame_mask, l2_normalise
from mmstan.models.interactions import Cosine, Interaction
from mmstan.models.video_text import make_clips

Batch = dict[str, Any]


def is_retrieval(model: Any) -> bool:
    """Whether a model compares texts and videos, and has no classes of its own."""
    return hasattr(model, 'encode_texts')


def find_interaction(model: Any) -> Interaction:
    """The interaction of texts and videos; a cosine where a head has none."""
    head = model.head if is_retrieval(model) else model.cls_head
    return getattr(head, 'interaction', None) or Cosine()


def predict_classes(model: Any, batch: Batch) -> Tensor:
    """Probabilities of the classes (N, K), averaged over the views of a video."""
    samples = model(**batch, mode='predict')
    scores = torch.stack([sample.pred_score.float().flatten() for sample in samples])
    average = getattr(model.cls_head, 'average_clips', 'prob')
    return scores if average == 'prob' else scores.softmax(dim=-1)


def encode_frames(model: Any, batch: Batch) -> VideoFeatures:
    """Features as the interaction reads them: of the frames, where the model has them.

    Raises:
        ValueError: The backbone is none of mmstan and gives something else.
    """
    inputs, samples = batch['inputs'], batch['data_samples']
    if is_retrieval(model):
        return model.encode_videos(make_clips(inputs), data_samples=samples)
    return _join_views(_extract(model, batch, 'backbone'), len(samples))


def pool_videos(model: Any, batch: Batch) -> Tensor:
    """One unit feature a video (N, D), by the interaction's own mean where it has one."""
    interaction = find_interaction(model)
    if is_retrieval(model):
        video = encode_frames(model, batch)
    else:
        x = _extract(model, batch, 'neck')
        # The views of a video count as much as one another.
        x = l2_normalise(x) if x.ndim == 2 else x
        video = _join_views(x, len(batch['data_samples']))
    return (interaction if isinstance(interaction, Cosine) else Cosine()).pool(video)


def compare_with_classes(model: Any, batch: Batch) -> Tensor:
    """Similarities (N, K) of videos with the texts of a recognizer's head, without its scale."""
    head, samples = model.cls_head, batch['data_samples']
    x, _ = model.extract_feat(batch['inputs'], stage='neck', data_samples=samples, test_mode=True)
    scores = head(x).float() / head.scale  # (N * views, K)
    return scores.unflatten(0, (len(samples), -1)).mean(dim=1)


def _extract(model: Any, batch: Batch, stage: str) -> Tensor:
    """Features of all views, (N * views, D) or (N * views, T, D), after a stage of a recognizer."""
    x, _ = model.extract_feat(
        batch['inputs'], stage=stage, data_samples=batch['data_samples'], test_mode=True
    )
    x = x[0] if isinstance(x, (tuple, list)) else x  # X-CLIP's second one is visual context
    if x.ndim not in (2, 3):
        raise ValueError(
            f'features {tuple(x.shape)} of {type(model.backbone).__name__} are none of frames or '
            'videos; take a backbone of mmstan'
        )
    return x


def _join_views(x: Tensor, videos: int) -> VideoFeatures:
    """(N * views, T, D) or (N * views, D) -> one row of frames (N, views * T, D) a video."""
    x = x[:, None] if x.ndim == 2 else x
    x = x.unflatten(0, (videos, -1)).flatten(1, 2)
    return VideoFeatures(x, frame_mask(x))
