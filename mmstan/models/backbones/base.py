"""The contract of video backbones: a clip is cut into frames, frames become features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmstan.models.sizes import Sizes
from mmstan.models.towers import BaseImageTower
from mmstan.registry import MODELS


class VideoBackbone(BaseModule, ABC):
    """Clip (N, 3, T, H, W) -> features (N, T', D'), not normalised.

    To write a new one:

    1. Build new layers in ``__init__`` from ``self.tower``, which the base class makes. Copies of
       tower blocks are made in :meth:`init_weights`, when the tower has its weights.
    2. Write :meth:`forward`, in the joint space where the method is defined there, and
       :meth:`tokens`.
    3. Set :attr:`out_dim` where the features are not in the joint space.
    4. Name in :attr:`unused_by_map` the parameters that :meth:`tokens` does not read. Where the
       tokens are not as wide as the tower's, override :attr:`map_width` and :meth:`normalise`.
    5. Name the method's own layers in :meth:`layer_groups` and :meth:`time_layers`, for pictures.
    6. Override the class methods below where their defaults do not fit.

    Args:
        tower: Config of an image tower.
    """

    out_dim: int
    """Width D' of the features."""
    unused_by_map: tuple[str, ...] = (r'tower\.visual\.proj',)
    """Regular expressions of the full names of the parameters that get no gradient from
    :meth:`feature_map`."""

    tower_has_graph: bool = True
    """Whether gradients of the features reach the inside of the tower's blocks."""

    def __init__(self, tower: dict[str, Any]) -> None:
        super().__init__()
        self.tower: BaseImageTower = MODELS.build(tower)
        self.out_dim = self.tower.joint_dim

    @abstractmethod
    def forward(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> features (N, T', D')."""

    @abstractmethod
    def tokens(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> tokens (N, T, 1 + L, C), a frame's class token first."""

    @property
    def map_width(self) -> int:
        """Width C of :meth:`feature_map`."""
        return self.tower.width

    def refuse_without_map(self) -> None:
        """Raise ValueError if the tower pools its patches, so that there is no map."""
        self.tower.refuse_pooled_patches()

    def normalise(self, tokens: Tensor) -> Tensor:
        """Tokens of :meth:`tokens` (..., C) -> the same after the tower's last norm."""
        return self.tower.normalise(tokens)

    def feature_map(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> map of its patches (N, C, T', h, w), for detection.

        The map has :meth:`tokens` without the class tokens, normalised and not projected. h and w
        are the patches of a frame, which need not be square; T' is the number of frames that the
        tower sees.

        Raises:
            ValueError: The tower pools its patches, or H or W is no multiple of the patch size.
        """
        patches = self.normalise(self.tokens(clip)[:, :, 1:])  # (N, T', L, C)
        # Patches lie row by row: (N, T', L, C) -> (N, T', h, w, C) -> (N, C, T', h, w).
        return patches.unflatten(2, self.tower.grid(clip)).permute(0, 4, 1, 2, 3)

    def run_every_token(self, clip: Tensor) -> Tensor:
        """The tokens of :meth:`tokens`, by every layer on every token: for counts and pictures.

        Override it where :meth:`tokens` leaves layers out.
        """
        tokens = self.tokens(clip)
        if tokens.shape[-1] == self.tower.width:  # DiST's output has its own width
            self.tower.project(tokens.flatten(0, 1))
        return tokens

    def layer_groups(self) -> dict[str, list[nn.Module]]:
        """Name of a group of layers -> its layers, from the first to the last."""
        return {'tower': list(self.tower.blocks)}

    def named_layers(self) -> dict[str, nn.Module]:
        """Name -> layer of :meth:`layer_groups`, each counted from 1: ``'tower.12'``.

        The first word of the group is in the name. A layer is a
        :class:`~mmstan.models.towers.Block`, or a module that gives the clip's tokens.
        """
        return {
            f'{group.split()[0]}.{number}': layer
            for group, layers in self.layer_groups().items()
            for number, layer in enumerate(layers, start=1)
        }

    def time_layers(self) -> dict[str, nn.Module]:
        """Name -> module in which the frames of a clip attend to each other, counted from 1.

        Each has a ``norm``, which gives (N, T, C) or (N, T, L, C), and behind it ``attn``, an
        ``nn.MultiheadAttention`` over T.
        """
        return {}

    def main_layers(self) -> list[str]:
        """Names of the layers that a picture shows if none is asked for."""
        return [f'tower.{len(self.tower.blocks)}']

    @classmethod
    def tower_frames(cls, cfg: Mapping[str, Any], frames: int) -> int:
        """Number of a clip's ``frames`` that the tower sees in the backbone of config ``cfg``."""
        return frames

    @classmethod
    def narrowed(cls, cfg: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        """The settings of the backbone's config ``cfg`` that change in its narrow form.

        ``cfg['tower']`` is still as configured: the tower's own class changes it.
        """
        return dict(num_frames=sizes.frames) if sizes.frames and 'num_frames' in cfg else {}

    @classmethod
    def narrow_width(cls, cfg: Mapping[str, Any], sizes: Sizes) -> int:
        """Width D' of the features in the narrow form of ``cfg``."""
        tower: type[BaseImageTower] = MODELS.get(cfg['tower']['type'])
        return tower.narrow_joint_dim(cfg['tower'], sizes)


def clip_to_images(clip: Tensor) -> Tensor:
    """Clip (N, 3, T, H, W) -> images (N*T, 3, H, W), one clip's frames after another's.

    Raises:
        ValueError: The clip is not five-dimensional, as with ``FormatShape('NCHW')``.
    """
    if clip.ndim != 5 or clip.shape[1] != 3:
        raise ValueError(
            f'FormatShape must be NCTHW: a clip is (N, 3, T, H, W), got {tuple(clip.shape)}; set '
            "input_format='NCTHW' in the pipelines and format_shape='NCTHW' in data_preprocessor"
        )
    return clip.transpose(1, 2).flatten(0, 1)
