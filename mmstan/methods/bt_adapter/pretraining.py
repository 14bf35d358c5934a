"""BT-Adapter's post-pretraining: a branch that learns to live in its frozen tower's space.

Letters: N clips, T frames, L patches, V of them visible to the branch, C width, D joint space.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from mmaction.structures import ActionDataSample
from torch import Tensor, nn

from mmstan.methods.stan import STAN
from mmstan.models.cross_frame import TemporalAttention
from mmstan.models.features import TextFeatures, VideoFeatures, frame_mask
from mmstan.models.video_text import VideoTextModel, make_clips
from mmstan.registry import MODELS


@MODELS.register_module()
class BTAdapterModel(VideoTextModel):
    """A :class:`VideoTextModel` whose branch is held close to its frozen tower.

    In training the tower sees all patches, and the branch a share of them, at the same places in
    all frames (asymmetric token masking). Three losses are added: the usual contrastive one; the
    distance ``2 - 2 cos`` between each visible patch of the branch, projected by a linear layer and
    a norm of its own, and the tower's projected patch; and a contrastive one of the mean of the
    branch's projected patches. Elsewhere it is a :class:`VideoTextModel`.

    Unlike the released code, whose mask and whose comparison order the patches differently, a
    patch of the branch is compared with the tower's patch at its own place.

    Args:
        backbone: Config of a :class:`STAN` with a frozen tower and without own positions.
        text_tower: See :class:`VideoTextModel`, as for the next three.
        head: Its interaction reads frames.
        text_length: Longest caption in tokens.
        data_preprocessor: Config of MMAction2's ``ActionDataPreprocessor``.
        hidden: Share of the patches that the branch does not see.
        distance_weight: Factor of the distance.
        branch_weight: Factor of the contrastive loss of the branch alone.
        micro_batch: Must be None: the losses read patches, which are not kept.

    Raises:
        ValueError: The backbone is no STAN with a frozen tower, or an option is out of range.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        text_tower: dict[str, Any],
        head: dict[str, Any],
        *,
        text_length: int | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        hidden: float = 0.7,
        distance_weight: float = 0.1,
        branch_weight: float = 0.1,
        micro_batch: int | None = None,
    ) -> None:
        super().__init__(
            backbone,
            text_tower,
            head,
            text_length=text_length,
            data_preprocessor=data_preprocessor,
        )
        tower = _check_backbone(self.backbone).tower
        if micro_batch is not None:
            raise ValueError(
                f'micro_batch={micro_batch}: the losses of BTAdapterModel read patches, which are '
                'not kept; leave it out, and take a smaller train_dataloader.batch_size'
            )
        if not 0 <= hidden < 1:
            raise ValueError(f'hidden={hidden}: a share of the patches from 0 to below 1')
        self.hidden, self.distance_weight = hidden, distance_weight
        self.branch_weight = branch_weight
        d = tower.joint_dim
        self.branch_projection = nn.Sequential(nn.Linear(tower.width, d), nn.LayerNorm(d))

    def forward(
        self,
        inputs: Tensor | dict[str, Tensor],
        data_samples: Sequence[ActionDataSample] | None = None,
        mode: Literal['tensor', 'loss', 'predict'] = 'tensor',
    ) -> Any:
        """See :class:`VideoTextModel`; ``'loss'`` adds ``loss_distance`` and ``loss_branch``."""
        if mode != 'loss':
            return super().forward(inputs, data_samples, mode)
        imgs, ids = (inputs['imgs'], inputs['text']) if isinstance(inputs, dict) else (inputs, None)
        samples = list(data_samples or ())
        if ids is None:
            ids, _ = self._tokenize(samples, len(imgs))
        return self._compute_losses(self._encode_ids(ids), make_clips(imgs), samples)

    def _compute_losses(
        self, text: TextFeatures, clip: Tensor, samples: Sequence[ActionDataSample]
    ) -> dict[str, Tensor]:
        backbone: Any = self.backbone
        visible = self._choose_visible(clip)
        # (N, T, 1 + L, C) and (N, T, 1 + V, C), a frame's class token first.
        tower, branch = backbone.parts(clip, visible=visible)
        cls = backbone.fuse(tower[:, :, :1], branch[:, :, :1])
        frames = backbone.tower.project(cls.flatten(0, 1)).unflatten(0, cls.shape[:2])
        losses = self.head.loss(text, VideoFeatures(frames, frame_mask(frames, samples)))
        # The same places in the joint space: the branch's by a projection of its own.
        ours = self.branch_projection(branch[:, :, 1:])  # (N, T, V, D)
        with torch.no_grad():
            theirs = backbone.tower.project_tokens(tower[:, :, 1:][:, :, visible].flatten(0, 1))
        distance = 2 - 2 * F.cosine_similarity(ours.flatten(0, 1), theirs, dim=-1).mean()
        losses['loss_distance'] = self.distance_weight * distance
        mean = ours.mean(dim=(1, 2))[:, None]  # (N, 1, D)
        alone = self.head.loss(text, VideoFeatures(mean, frame_mask(mean)))
        losses['loss_branch'] = self.branch_weight * (alone['loss_t2v'] + alone['loss_v2t'])
        return losses

    def _choose_visible(self, clip: Tensor) -> Tensor:
        """Random places (V) of the patches that the branch sees, in their order."""
        rows, columns = self.backbone.tower.grid(clip)
        count = max(1, round((1 - self.hidden) * rows * columns))
        places = torch.randperm(rows * columns, device=clip.device)[:count]
        return places.sort().values


def _check_backbone(backbone: Any) -> STAN:
    """The backbone, if its branch can see some of the patches and its tower is frozen."""
    if not isinstance(backbone, STAN):
        raise ValueError(f'BTAdapterModel takes mmstan.STAN, not {type(backbone).__name__}')
    if not backbone.tower.frozen:
        raise ValueError(
            'BTAdapterModel holds the branch close to a frozen tower: set frozen=True of '
            'backbone.tower'
        )
    branch: Any = backbone.branches[0]
    cross_frame = branch.layers[0].cross_frame
    if branch.positions is not None or not isinstance(cross_frame, TemporalAttention):
        raise ValueError(
            'BTAdapterModel hides patches from the branch: it goes with own_positions=False and '
            "cross_frame=dict(type='mmstan.TemporalAttention')"
        )
    if backbone.tower.reads_patches:
        raise ValueError('BTAdapterModel takes CLIP towers: this one pools its patches')
    return backbone
