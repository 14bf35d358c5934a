"""The contract of image towers, and the methods that follow from it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn
from typing_extensions import Self

from mmstan.models.sizes import Sizes
from mmstan.models.towers.block import Block


class Tower(BaseModule):
    """A part of an image-language model.

    Args:
        frozen: The parameters get no gradients, and the tower stays in evaluation mode under
            ``model.train()``.
    """

    def __init__(self, *, frozen: bool = False) -> None:
        super().__init__()
        self.frozen = frozen
        self.has_weights = False  # set by `init_weights`, and by any checkpoint that is loaded
        self.register_load_state_dict_pre_hook(_note_weights)

    def shard_units(self) -> list[nn.Module]:
        """List the blocks: parts that sharded training gathers and frees one by one."""
        return []

    def freeze(self) -> None:
        """Stop the gradients of all parameters if the tower is frozen."""
        if self.frozen:
            self.requires_grad_(False)
            super().train(False)

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode, unless frozen.

        Warns once if the tower is put to use with the random weights of its constructor, as after
        MMAction2's ``init_recognizer(config, None)``.
        """
        if not mode and not (self.has_weights or self.is_init):
            self.has_weights = True
            print_log(
                f'{type(self).__name__} is put to use with random weights: give a checkpoint, or '
                'call init_weights() of the model',
                'current',
                logging.WARNING,
            )
        return super().train(mode and not self.frozen)


def _note_weights(tower: Tower, *_: Any) -> None:
    tower.has_weights = True


class BaseImageTower(Tower, ABC):
    """Images -> tokens, block by block -> joint space.

    Letters: B images, L patches, C ``width``, D ``joint_dim``.

    To write a new one: set :attr:`width`, :attr:`heads`, :attr:`joint_dim` and
    :attr:`reads_patches`, call :meth:`freeze` last in ``__init__``, and write the abstract methods.
    A backbone calls the parts one by one; the result must be the same as :meth:`forward`'s.
    """

    width: int
    heads: int
    joint_dim: int
    reads_patches: bool
    """Whether :meth:`project` reads the patch tokens, which must then all be computed."""

    @classmethod
    @abstractmethod
    def depth(cls, cfg: Mapping[str, Any]) -> int:
        """Number of blocks of the tower that ``cfg`` configures, found without building it."""

    @classmethod
    def narrow_joint_dim(cls, cfg: Mapping[str, Any], sizes: Sizes) -> int:
        """D in the narrow form of ``sizes`` of the tower that ``cfg`` configures."""
        return sizes.joint

    @property
    @abstractmethod
    def blocks(self) -> Sequence[Block]:
        """The transformer blocks, in order."""

    @property
    @abstractmethod
    def class_embedding(self) -> Tensor:
        """The class token before its position is added, (C)."""

    @property
    @abstractmethod
    def patch_size(self) -> tuple[int, int]:
        """Height and width of a patch in pixels."""

    @property
    @abstractmethod
    def own_grid(self) -> tuple[int, int]:
        """Rows and columns of patches of the tower's table of positions."""

    @abstractmethod
    def patchify(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> patch tokens (B, L, C), row by row, without positions."""

    @abstractmethod
    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Position embeddings (1 + L, C) for ``grid`` = (rows, columns) of patches.

        The class token's embedding is first. They are interpolated for a grid that is not the
        tower's own.
        """

    @abstractmethod
    def finish(self, tokens: Tensor) -> Tensor:
        """The norm before the first block, if the tower has one: (B, S, C) -> same."""

    @abstractmethod
    def project(self, tokens: Tensor) -> Tensor:
        """Tokens of the last block (B, 1 + L, C) -> images in the joint space (B, D).

        Without :attr:`reads_patches` the class tokens (B, 1, C) are enough.
        """

    @abstractmethod
    def project_tokens(self, tokens: Tensor) -> Tensor:
        """Each token on its own -> joint space: (B, S, C) -> (B, S, D)."""

    def normalise(self, tokens: Tensor) -> Tensor:
        """The last norm on each token on its own, without the projection: (..., C) -> same.

        Raises:
            ValueError: The tower has no such norm, or pools its patches.
        """
        raise ValueError(f'detection takes CLIP towers; {type(self).__name__} has no last norm')

    def shard_units(self) -> list[nn.Module]:
        """See :meth:`Tower.shard_units`."""
        return list(self.blocks)

    def refuse_pooled_patches(self) -> None:
        """Raise ValueError if the tower pools its patches: then none has a last norm of its own."""
        if self.reads_patches:
            name = getattr(self, 'model', type(self).__name__)
            raise ValueError(f'detection takes CLIP towers; {name} pools its patches')

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Rows and columns of patches of ``images`` (..., H, W).

        Raises:
            ValueError: H or W is not a multiple of the patch size.
        """
        (h, w), (ph, pw) = images.shape[-2:], self.patch_size
        if h % ph or w % pw:
            raise ValueError(
                f'image size {h}x{w} is not a multiple of the patch size {ph}x{pw}; resize or crop '
                'the frames in the pipeline'
            )
        return h // ph, w // pw

    def embed(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> the first block's input (B, 1 + L, C)."""
        patches = self.patchify(images)
        # [class token, patch 1, ... patch L] + positions, then the norm before the blocks.
        cls = self.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        tokens = torch.cat([cls, patches], dim=1)
        return self.finish(tokens + self.positions(self.grid(images)).to(patches.dtype))

    def run_blocks(self, tokens: Tensor) -> Tensor:
        """The first block's input (B, 1 + L, C) -> the last block's output for :meth:`project`.

        Without :attr:`reads_patches` these are the class tokens (B, 1, C).
        """
        # All rows of all blocks but the last, since its class token attends to every row.
        for block in self.blocks[:-1]:
            tokens = block(tokens)
        last = self.blocks[-1]
        return last(tokens) if self.reads_patches else last.first_row(tokens)

    def run_all_rows(self, tokens: Tensor) -> Tensor:
        """The first block's input (B, 1 + L, C) -> every token after the last block, same shape."""
        for block in self.blocks:
            tokens = block(tokens)
        return tokens

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> joint space (B, D), not normalised."""
        return self.project(self.run_blocks(self.embed(images)))
