"""A model on a batch that its preprocessor has seen: features, predictions, similarities."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmstan.models.features import TextFeatures, VideoFeatures, frame_mask, l2_normalise
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


def encode_videos(model: Any, batch: Batch) -> Any:
    """The features that the model's head reads: :class:`VideoFeatures`, or a recognizer's own."""
    if is_retrieval(model):
        clips = make_clips(batch['inputs'])
        return model.encode_videos(clips, data_samples=batch['data_samples'])
    return model.extract_feat(batch['inputs'], test_mode=True)


def predict_classes(model: Any, features: Any, batch: Batch) -> Tensor:
    """Probabilities of a recognizer's classes (N, K), averaged over the views of a video."""
    x, options = features
    samples = model.cls_head.predict(x, batch['data_samples'], **options)
    scores = torch.stack([sample.pred_score.float().flatten() for sample in samples])
    average = getattr(model.cls_head, 'average_clips', 'prob')
    return scores if average == 'prob' else scores.softmax(dim=-1)


def compare_texts(model: Any, text: TextFeatures | None, features: Any, batch: Batch) -> Tensor:
    """Similarities (N, A) of videos and texts, without a scale.

    Args:
        model: The model.
        text: The texts' features; None for a recognizer, whose head has the texts.
        features: The features that :func:`encode_videos` gave.
        batch: The batch.
    """
    if text is not None:
        return model.similarity(text, features).T
    x, _ = features
    scores = model.cls_head(x).float() / model.cls_head.scale  # (N * views, A)
    return scores.unflatten(0, (len(batch['data_samples']), -1)).mean(dim=1)


def pool_videos(model: Any, features: Any, batch: Batch) -> Tensor:
    """One unit feature a video (N, D), by the interaction's own mean where it has one."""
    interaction = find_interaction(model)
    if is_retrieval(model):
        video = features
    else:
        x = _take_tensor(model, features[0])
        # The views of a video count as much as one another.
        video = _join_views(l2_normalise(x) if x.ndim == 2 else x, batch)
    return (interaction if isinstance(interaction, Cosine) else Cosine()).pool(video)


def encode_frames(model: Any, batch: Batch) -> VideoFeatures:
    """Features of the frames, before a recognizer's neck.

    Raises:
        ValueError: The backbone is none of mmstan and gives something else.
    """
    if is_retrieval(model):
        return encode_videos(model, batch)
    # With test_mode=True MMAction2 runs the neck whatever the stage.
    x, _ = model.extract_feat(batch['inputs'], stage='backbone')
    return _join_views(_take_tensor(model, x), batch)


def encode_compared(model: Any, batch: Batch) -> VideoFeatures:
    """Features as they are compared, behind a recognizer's neck, which may average the frames.

    Raises:
        ValueError: The backbone is none of mmstan and gives something else.
    """
    features = encode_videos(model, batch)
    return features if is_retrieval(model) else _join_views(_take_tensor(model, features[0]), batch)


def _take_tensor(model: Any, x: Any) -> Tensor:
    """Features of all views, (N * views, D) or (N * views, T, D)."""
    x = x[0] if isinstance(x, (tuple, list)) else x  # X-CLIP's second one is visual context
    if x.ndim not in (2, 3):
        raise ValueError(
            f'features {tuple(x.shape)} of {type(model.backbone).__name__} are none of frames or '
            'videos; take a backbone of mmstan'
        )
    return x


def _join_views(x: Tensor, batch: Batch) -> VideoFeatures:
    """(N * views, T, D) or (N * views, D) -> one row of frames (N, views * T, D) a video."""
    x = x[:, None] if x.ndim == 2 else x
    x = x.unflatten(0, (len(batch['data_samples']), -1)).flatten(1, 2)
    return VideoFeatures(x, frame_mask(x))
