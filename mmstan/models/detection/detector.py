"""Spatio-temporal action detection: actions of the persons in boxes, at a key frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from mmaction.structures import ActionDataSample
from mmengine.model import BaseModel
from torch import Tensor

from mmstan.models.backbones import VideoBackbone
from mmstan.models.detection.feature_map import freeze_unused
from mmstan.models.detection.roi_features import join_maps
from mmstan.models.detection.roi_head import ActionRoIHead
from mmstan.registry import MODELS


@MODELS.register_module()
class ActionDetector(BaseModel):
    """A video backbone, and a head that scores the actions of boxes in its map of patches.

    A person detector has found the boxes before. The backbone runs once a clip, whatever the number
    of boxes. Parameters have the names of a recognizer's (``backbone.*``) and of MMAction2's
    detectors (``roi_head.bbox_head.fc_cls.*``), so that both checkpoints load.

    Args:
        backbone: Config of a video backbone; or of a foreign one, which returns one map
            (N, C, T, h, w) or a tuple of them (MMAction2's ``VisionTransformer`` with
            ``return_feat_map=True``, ``ResNet3dSlowFast``).
        roi_head: Config of an :class:`ActionRoIHead`. Of our backbones it takes ``in_channels`` of
            ``bbox_head`` from the map.
        data_preprocessor: Config of MMAction2's ``ActionDataPreprocessor``.

    Raises:
        ValueError: The backbone's tower pools its patches, or ``in_channels`` is not the width of
            the map, or is missing for a foreign backbone.

    Example:
        >>> import torch
        >>> from mmstan.models import ActionDetector
        >>> sizes = dict(image_size=32, layers=2, width=64, patch_size=8, head_width=32)
        >>> tower = dict(type='mmstan.ImageTower', model=dict(embed_dim=16, vision_cfg=sizes))
        >>> head = dict(type='mmstan.ActionHead', num_classes=81)
        >>> detector = ActionDetector(
        ...     dict(type='mmstan.FrameEncoder', tower=tower),
        ...     dict(type='mmstan.ActionRoIHead', bbox_head=head),
        ... )
        >>> detector(torch.zeros(2, 3, 8, 32, 48)).shape
        torch.Size([2, 64, 8, 4, 6])
    """

    new_in_training = ('roi_head.*',)
    """Patterns of the tensors that a checkpoint of another task need not have."""

    def __init__(
        self,
        backbone: dict[str, Any],
        roi_head: dict[str, Any],
        *,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(None if data_preprocessor is None else MODELS.build(data_preprocessor))
        self.backbone = MODELS.build(backbone)
        if isinstance(self.backbone, VideoBackbone):
            self.backbone.refuse_without_map()
        roi_head = _set_in_channels(roi_head, getattr(self.backbone, 'map_width', None))
        self.roi_head: ActionRoIHead = MODELS.build(roi_head)
        freeze_unused(self.backbone)

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[ActionDataSample] | None = None,
        mode: Literal['tensor', 'loss', 'predict'] = 'tensor',
    ) -> Any:
        """A batch of N clips around key frames, and the boxes of their persons.

        Args:
            inputs: Clips (N, 3, T, H, W), or (N, 1, 3, T, H, W) of ``FormatShape('NCTHW')`` without
                ``collapse=True``.
            data_samples: N samples. ``gt_instances`` has ``bboxes`` (g, 4) in pixels and ``labels``
                (g, K), of which column 0 is not used; ``proposals`` has ``bboxes`` (p, 4), and may
                be missing in training. ``img_shape`` (h, w), ``video_id`` and ``timestamp`` are
                meta information.
            mode: ``'tensor'`` gives the map (N, C, T', h, w); ``'loss'`` a dict of losses;
                ``'predict'`` the data samples with ``pred_instances``: ``bboxes`` (n, 4) as
                fractions of the frame, and ``scores`` (n, K).

        Raises:
            ValueError: The inputs are of another form, clips of different sizes are in one batch,
                or a sample lacks its boxes.
        """
        clip = _make_clips(inputs)
        height, width = clip.shape[-2:]
        samples = list(data_samples or ())
        if mode == 'tensor':
            return self.extract_map(clip)
        _check_sizes(samples, height, width)
        if mode == 'loss':
            return self.roi_head.loss(self.extract_map(clip), samples, width)
        if mode != 'predict':
            raise ValueError(f"mode={mode!r} must be 'tensor', 'loss' or 'predict'")
        found = self.roi_head.predict(self.extract_map(clip), samples, (height, width))
        for sample, instances in zip(samples, found):
            sample.pred_instances = instances
        return samples

    def val_step(self, data: dict[str, Any]) -> list[ActionDataSample]:
        """Predict a batch of a data loader; black clips of broken videos get the others' size."""
        return super().val_step(_fit_black_clips(data))

    def test_step(self, data: dict[str, Any]) -> list[ActionDataSample]:
        """As :meth:`val_step`."""
        return super().test_step(_fit_black_clips(data))

    def extract_map(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> map of its patches (N, C, T', h, w)."""
        extract = getattr(self.backbone, 'feature_map', self.backbone)
        return join_maps(extract(clip))


def _set_in_channels(roi_head: dict[str, Any], width: int | None) -> dict[str, Any]:
    """The config of the RoI head with ``in_channels`` of its head; ``width`` is the map's."""
    head = roi_head['bbox_head']
    given = head.get('in_channels')
    if width is None and given is None:
        raise ValueError(
            'roi_head.bbox_head has no in_channels: set the channels of the backbone, which does '
            'not say them (768 for a ViT-B, 2304 for a SlowFast R50)'
        )
    if None not in (width, given) and width != given:
        raise ValueError(
            f'roi_head.bbox_head.in_channels={given}, but the map of the backbone has {width} '
            'channels; leave in_channels out'
        )
    return dict(roi_head, bbox_head=dict(head, in_channels=given or width))


def _make_clips(inputs: Tensor) -> Tensor:
    """Output of ``FormatShape('NCTHW')`` -> clips (N, 3, T, H, W)."""
    clip = inputs[:, 0] if inputs.ndim == 6 and inputs.shape[1] == 1 else inputs
    if clip.ndim != 5 or clip.shape[1] != 3:
        raise ValueError(
            f'inputs {tuple(inputs.shape)}: detection takes one clip of a key frame, '
            "(N, 3, T, H, W) of FormatShape('NCTHW', collapse=True), and no test with several views"
        )
    return clip


def _fit_black_clips(data: dict[str, Any]) -> dict[str, Any]:
    """Give the black clips that stand for broken videos (``skip_broken``) the size of a whole one.

    They have their own size, and a batch of clips has one.
    """
    clips, samples = list(data['inputs']), data['data_samples']
    whole = [clip for clip, sample in zip(clips, samples) if not sample.get('broken')]
    if not whole or len(whole) == len(clips):
        return data
    for number, sample in enumerate(samples):
        if sample.get('broken') and clips[number].shape != whole[0].shape:
            clips[number] = torch.zeros_like(whole[0])
            sample.set_metainfo(dict(img_shape=tuple(whole[0].shape[-2:])))
    return dict(data, inputs=clips)


def _check_sizes(samples: Sequence[ActionDataSample], height: int, width: int) -> None:
    """Refuse clips that were padded to the size of another one: padding changes the attention."""
    for sample in samples:
        h, w = sample.get('img_shape', (height, width))
        if (h, w) != (height, width):
            raise ValueError(
                f'a clip of {h}x{w} pixels in a batch of {height}x{width}: all clips of a batch '
                'have one size, since padding changes the attention; set batch_size=1, or let the '
                'pipeline give one size'
            )
