"""A backbone's map of patches, for the detector and for MMDetection's own models."""

from __future__ import annotations

import re
from typing import Any

from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from mmstan.compat.state_dicts import find_state_dict, fit_state
from mmstan.models.backbones import VideoBackbone
from mmstan.registry import MODELS
from mmstan.wording import name_a_few


def freeze_unused(backbone: nn.Module) -> None:
    """Freeze the parameters that get no gradient from a backbone's map, and log their names.

    Distributed training would wait for their gradients. A foreign backbone, which does not name
    them, is left alone.
    """
    patterns = getattr(backbone, 'unused_by_map', ())
    unused = {
        name: parameter
        for name, parameter in backbone.named_parameters()
        if parameter.requires_grad and any(re.fullmatch(pattern, name) for pattern in patterns)
    }
    if not unused:
        return
    for parameter in unused.values():
        parameter.requires_grad_(False)
    print_log(f'frozen, since a feature map leaves them out: {name_a_few(unused)}', 'current')


@MODELS.register_module()
class FeatureMap(BaseModule):
    """A video backbone whose output is its map of patches.

    It is the backbone of MMDetection's ``FastRCNN``; :class:`ActionDetector` needs none. From the
    scope of MMDetection our names are found with ``_scope_='mmaction'`` only::

        model = dict(
            type='FastRCNN',
            _scope_='mmdet',
            backbone=dict(
                type='mmstan.FeatureMap', _scope_='mmaction', backbone=dict(type='mmstan.STAN', ...)
            ),
            ...,
        )

    Args:
        backbone: Config of a video backbone.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` with a recognizer's checkpoint, whose
            tensors have the same names, ``backbone.*``.

    Raises:
        ValueError: The backbone's tower pools its patches.
    """

    def __init__(self, backbone: dict[str, Any], *, init_cfg: dict[str, Any] | None = None) -> None:
        super().__init__(init_cfg)
        self.backbone: VideoBackbone = MODELS.build(backbone)
        self.backbone.refuse_without_map()
        self.map_width = self.backbone.map_width
        freeze_unused(self.backbone)

    def init_weights(self) -> None:
        """Load the backbone of the checkpoint that ``init_cfg`` names, else the tower's weights.

        Raises:
            ValueError: The checkpoint does not have every tensor of the backbone.
        """
        source = (self.init_cfg or {}).get('checkpoint')
        if source is None:
            super().init_weights()
            return
        theirs = find_state_dict(CheckpointLoader.load_checkpoint(source, 'cpu'), source)
        state = {name: x for name, x in theirs.items() if 'backbone' in name.split('.')}
        self.load_state_dict(fit_state(self, state, source=source))
        self._is_init = True

    def forward(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> map (N, C, T', h, w)."""
        return self.backbone.feature_map(clip)
