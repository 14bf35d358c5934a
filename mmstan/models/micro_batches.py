"""A large batch of pairs, encoded a few pairs at a time with recomputation in the backward pass.

Letters: n pairs of a process, m pairs of a micro batch, theta the encoders' parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from mmstan.models.features import TextFeatures, VideoFeatures, join_features

EncodePairs = Callable[[Tensor, Tensor, Sequence[Any]], tuple[TextFeatures, VideoFeatures]]


def encode_in_parts(
    encode: EncodePairs,
    ids: Tensor,
    clips: Tensor,
    samples: Sequence[Any],
    *,
    micro_batch: int,
) -> tuple[TextFeatures, VideoFeatures]:
    """Encode n pairs ``micro_batch`` at a time; only features stay in memory for the backward pass.

    A contrastive loss depends on theta through the features f_i of all n pairs alone, so that
    dL/dtheta = sum_i dL/df_i df_i/dtheta (GradCache). The loss is computed once from all features.
    In the backward pass each micro batch is encoded again, with the same random numbers and under
    the same autocast, and only its activations are in memory. There is one backward pass, so that
    distributed wrappers and loss scalers see a usual step. It costs one more forward pass.

    Args:
        encode: Token ids (m, J), clips and data samples of m pairs -> their features.
        ids: Token ids (n, J).
        clips: Clips (n, 3, T, H, W).
        samples: The n data samples, or none.
        micro_batch: m; the last part may be smaller.
    """
    parts = [
        # A text and its video in one call: a micro batch is done before the next one begins.
        checkpoint(
            encode,
            ids[start : start + micro_batch],
            clips[start : start + micro_batch],
            samples[start : start + micro_batch],
            use_reentrant=False,
        )
        for start in range(0, clips.shape[0], micro_batch)
    ]
    texts, videos = zip(*parts)
    return join_features(texts), join_features(videos)


def check_micro_batch(micro_batch: int | None) -> None:
    """Raise ValueError unless ``micro_batch`` is None or at least 1."""
    if micro_batch is not None and micro_batch < 1:
        raise ValueError(
            f'micro_batch={micro_batch} must be 1 or more: pairs that are encoded at a time; leave '
            'it out to encode the whole batch'
        )


def refuse_batch_statistics(model: nn.Module) -> None:
    """Raise ValueError if a module of ``model`` is a batch norm in training mode."""
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.training:
            raise ValueError(
                f'micro_batch, but {name} is a {type(module).__name__} in training mode: its '
                'statistics would be of a micro batch, and be updated twice; freeze it (eval mode) '
                'or leave micro_batch out'
            )
