"""Pre-norm transformer blocks whose two residual halves can be called on their own."""

from __future__ import annotations

from abc import ABC, abstractmethod

from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from mmstan.models.layers.attention import (
    apply_linear,
    apply_quick_gelu_mlp,
    attention,
    project_queries_keys_values,
    read_input_projection,
)


class Block(nn.Module, ABC):
    """``x + attend(x)``, then ``x + feed_forward(x)``, on tokens (B, S, C) for any S.

    Both halves are residual updates, with the norm in front. Methods call them one by one, so a
    tower knows nothing of message tokens or adapters.
    """

    @property
    @abstractmethod
    def attention_norm(self) -> nn.Module:
        """The norm in front of attention."""

    @abstractmethod
    def queries_keys_values(
        self, x: Tensor, queries: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, heads, S, C/heads), norm included.

        See :func:`project_queries_keys_values`.
        """

    @abstractmethod
    def project_out(self, x: Tensor) -> Tensor:
        """Attention's result (B, S, C) -> its residual update, same shape."""

    @abstractmethod
    def feed_forward(self, x: Tensor) -> Tensor:
        """The MLP's residual update of ``x`` (B, S, C), norm included."""

    def attend(self, x: Tensor, queries: int | None = None) -> Tensor:
        """Attention's residual update of ``x`` (B, S, C), norm included.

        ``queries`` limits the result to the first ``queries`` rows; keys and values stay all S.
        """
        return self.mix_values(*self.queries_keys_values(x, queries))

    def mix_values(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries, keys and values (B, heads, S, C/heads) -> attention's residual update (B, S, C).

        All attention of the block comes through here, so that pictures can see its weights.
        """
        return self.project_out(attention(q, k, v))

    def attend_with_queries_keys(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``attend(x)``, and its queries and keys (B, heads, S, C/heads)."""
        q, k, v = self.queries_keys_values(x)
        return self.mix_values(q, k, v), q, k

    def forward(self, x: Tensor, update: Tensor | None = None) -> Tensor:
        """(B, S, C) -> same. Give ``attend(x)`` as ``update`` if it has been computed already."""
        x = x + (self.attend(x) if update is None else update)
        return x + self.feed_forward(x)

    def first_row(self, x: Tensor) -> Tensor:
        """``self(x)[:, :1]`` without computing the other rows: (B, S, C) -> (B, 1, C)."""
        # One query on all S keys and values; the MLP acts on each row alone.
        row = x[:, :1] + self.attend(x, queries=1)
        return row + self.feed_forward(row)


class OpenClipBlock(Block):
    """An open_clip block, with open_clip's layers under open_clip's parameter names.

    Args:
        block: The block whose layers are taken over.
    """

    def __init__(self, block: ResidualAttentionBlock) -> None:
        super().__init__()
        self.ln_1, self.attn, self.ls_1 = block.ln_1, block.attn, block.ls_1
        self.ln_2, self.mlp, self.ls_2 = block.ln_2, block.mlp, block.ls_2

    @property
    def attention_norm(self) -> nn.Module:
        """See :attr:`Block.attention_norm`."""
        return self.ln_1

    def queries_keys_values(
        self, x: Tensor, queries: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See :meth:`Block.queries_keys_values`."""
        in_proj = read_input_projection(self.attn)
        return project_queries_keys_values(
            self.ln_1(x), in_proj, self.attn.num_heads, queries=queries
        )

    def project_out(self, x: Tensor) -> Tensor:
        """See :meth:`Block.project_out`."""
        update = apply_linear(x, self.attn.out_proj)
        return self.ls_1(update).to(update.dtype)  # under autocast its factors are float32

    def feed_forward(self, x: Tensor) -> Tensor:
        """See :meth:`Block.feed_forward`."""
        x = self.ln_2(x)
        # open_clip runs QuickGELU as three passes over (B, S, 4C); the fused path makes one.
        if isinstance(self.mlp.gelu, QuickGELU):
            update = apply_quick_gelu_mlp(x, self.mlp.c_fc, self.mlp.c_proj)
        else:
            update = self.mlp(x)
        return self.ls_2(update).to(update.dtype)
