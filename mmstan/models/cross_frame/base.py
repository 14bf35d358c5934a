"""The contract of cross-frame modules."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class CrossFrame(nn.Module, ABC):
    """Module through which the frames of a clip see each other.

    :class:`STANLayer` adds the result to the patches.

    Args:
        width: C, the tower's width.
        heads: The tower's attention heads.
        drop_path: Probability with which a sequence's update is dropped in training.
    """

    @abstractmethod
    def __init__(self, width: int, *, heads: int, drop_path: float = 0.0) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """Patches (N, T, L, C), in rows of ``grid`` = (h, w) -> their update, same shape."""
