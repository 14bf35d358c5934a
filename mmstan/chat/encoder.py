"""From a video to the tokens that a dialogue model reads.

Letters: N videos, T frames, L patches, S tokens of a video, C width of the tower.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from mmstan.apis.inputs import Video, name_video, prepare_video
from mmstan.chat.video_tokens import (
    ClassPlace,
    Pool,
    Scale,
    check_weight,
    count_tokens,
    fuse,
    pool,
)
from mmstan.datasets.transforms import ReadFrames
from mmstan.methods.stan import STAN
from mmstan.methods.stan.branch import STANBranch
from mmstan.models.backbones import FrameEncoder
from mmstan.wording import check_choice


def require_branch(branch_weight: float, there: bool) -> None:
    """Raise ValueError for the share of a branch that is not there."""
    if branch_weight and not there:
        raise ValueError(
            f'branch_weight={branch_weight}, but there is no branch: give branch=FILE, or '
            'branch_weight=0'
        )


class VideoEncoder:
    """Mixes the tokens of a tower and of a branch, and averages them over a video's frames.

    Args:
        backbone: The tower up to the dialogue model's feature layer, with or without a branch.
        image_processor: The dialogue model's own, so that pixels are as they are for an image.
        branch_weight: w, the branch's share in the mixture; 0 is the frames' mean without it.
        num_frames: T, the middles of as many equal segments of a video.
        pool: ``'mean'`` of the frames, or all ``'frames'`` one after another.
        class_token: Its place.
        scale: See :func:`mmstan.chat.video_tokens.fuse`.

    Raises:
        ValueError: ``branch_weight`` is not within 0 and 1, or not 0 without a branch; T is more
            than the branch's time table has.
    """

    def __init__(
        self,
        backbone: STAN | FrameEncoder,
        image_processor: Any,
        *,
        branch_weight: float = 0.5,
        num_frames: int = 12,
        pool: Pool = 'mean',
        class_token: ClassPlace = 'none',
        scale: Scale | None = None,
    ) -> None:
        check_weight(branch_weight)
        check_choice('pool', pool, Pool)
        check_choice('class_token', class_token, ClassPlace)
        require_branch(branch_weight, isinstance(backbone, STAN))
        if isinstance(backbone, STAN):
            cast(STANBranch, backbone.branches[0]).times(num_frames)  # refuses more than it has
        self.backbone, self.image_processor = backbone, image_processor
        self.branch_weight, self.num_frames, self.scale = branch_weight, num_frames, scale
        self.class_token, self.pool = class_token, pool
        sampler = dict(type='mmstan.SampleSegments', num_frames=num_frames, test_mode=True)
        self._read = ReadFrames(sampler)

    @property
    def count(self) -> int:
        """S, the number of tokens of a video."""
        rows, columns = self.backbone.tower.own_grid
        return count_tokens(rows * columns, self.num_frames, self.pool, self.class_token)

    @property
    def frames_in_a_row(self) -> int:
        """Number of frames whose tokens follow one another; 1 where they are averaged."""
        return self.num_frames if self.pool == 'frames' else 1

    def read(self, video: Video) -> list[np.ndarray]:
        """The T frames of a video that the engine sees, (H, W, 3) uint8 RGB each.

        Raises:
            BrokenVideoError: The video cannot be read.
            ValueError: It is no video.
        """
        read = self._read(prepare_video(video))
        if read['total_frames'] < self.num_frames:
            found = f'{name_video(video)} has {read["total_frames"]} frames'
            print_log(f'{found}, {self.num_frames} are read: some are repeated', 'current')
        return list(read['imgs'])

    @torch.no_grad()
    def encode(self, video: Video, *, branch_weight: float | None = None) -> Tensor:
        """Tokens of a video (1, S, C), for any number of questions.

        Args:
            video: A path, an address, a folder of images, or frames (T, H, W, 3) uint8 RGB.
            branch_weight: Instead of the chat's own.

        Raises:
            BrokenVideoError: The video cannot be read.
            ValueError: It is no video.
        """
        weight = self.branch_weight if branch_weight is None else branch_weight
        tower, branch = self.parts(video)
        tokens = tower if branch is None else fuse(tower, branch, weight, scale=self.scale)
        return pool(tokens, self.pool, class_token=self.class_token)

    @torch.no_grad()
    def parts(self, video: Video) -> tuple[Tensor, Tensor | None]:
        """Tokens of the tower and of the branch, (1, T, 1 + L, C) each; None without a branch."""
        frames = self.read(video)
        # The engine's own processor: a frame's pixels are as they are for an image.
        images = self.image_processor(images=frames, return_tensors='pt')
        like = self.backbone.tower.class_embedding
        clip = images['pixel_values'].to(like.device, like.dtype)
        clip = clip.transpose(0, 1)[None]  # (T, 3, H, W) -> (1, 3, T, H, W)
        if isinstance(self.backbone, STAN):
            return self.backbone.parts(clip)
        return self.backbone.tokens(clip), None
