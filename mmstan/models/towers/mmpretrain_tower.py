"""MMPretrain's vision transformers as image towers (ImageNet weights; X-CLIP, Table 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmstan.models.layers.attention import is_plain, project_queries_keys_values
from mmstan.models.sizes import Sizes
from mmstan.models.towers.base import BaseImageTower
from mmstan.models.towers.block import Block
from mmstan.registry import MODELS


class MMPretrainBlock(Block):
    """A block of MMPretrain's ``VisionTransformer``, with its layers and parameter names.

    Args:
        layer: The ``TransformerEncoderLayer`` whose layers are taken over.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.ln1, self.attn, self.ln2, self.ffn = layer.ln1, layer.attn, layer.ln2, layer.ffn
        for dropout in (self.attn.out_drop, self.ffn.dropout_layer):
            if hasattr(dropout, 'drop_prob'):  # a NumPy number, on which torch.compile stumbles
                dropout.drop_prob = float(dropout.drop_prob)

    @property
    def attention_norm(self) -> nn.Module:
        """See :attr:`Block.attention_norm`."""
        return self.ln1

    def queries_keys_values(
        self, x: Tensor, queries: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See :meth:`Block.queries_keys_values`."""
        qkv, heads, x = self.attn.qkv, self.attn.num_heads, self.ln1(x)
        if is_plain(qkv):
            return project_queries_keys_values(x, (qkv.weight, qkv.bias), heads, queries=queries)
        q, k, v = qkv(x).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        return q[:, :, :queries], k, v

    def project_out(self, x: Tensor) -> Tensor:
        """See :meth:`Block.project_out`."""
        attn = self.attn
        x = attn.proj_drop(attn.proj(x))
        return attn.out_drop(attn.gamma1(x).to(x.dtype))  # under autocast gamma1 is float32

    def feed_forward(self, x: Tensor) -> Tensor:
        """See :meth:`Block.feed_forward`."""
        # MMPretrain's FFN adds `identity`; a zero leaves the update alone.
        zero = torch.zeros((), dtype=x.dtype, device=x.device)
        return self.ffn(self.ln2(x), identity=zero).to(x.dtype)


@MODELS.register_module()
class MMPretrainImageTower(BaseImageTower):
    """MMPretrain's ``VisionTransformer`` behind the contract of an image tower.

    Without ``joint_dim`` there is no joint space: D is the width, and :meth:`project` is the last
    norm on the class token. Weights are configured as in MMPretrain, ``vit=dict(..., init_cfg=dict(
    type='Pretrained', ...))``.

    Args:
        vit: Arguments of ``mmpretrain.VisionTransformer`` (``arch``, ``img_size``,
            ``patch_size``, ``init_cfg``, ...).
        frozen: The parameters get no gradients, and the tower stays in evaluation mode under
            ``model.train()``.
        joint_dim: D, for a linear layer without bias into the joint space of a text tower, which
            learns from random weights (X-CLIP, Table 10).

    Raises:
        ValueError: The transformer has no class token, or ``vit`` has an option without an effect.
    """

    reads_patches = False

    def __init__(
        self, vit: Mapping[str, Any], *, frozen: bool = False, joint_dim: int | None = None
    ) -> None:
        super().__init__(frozen=frozen)
        # MMPretrain is imported here: it takes seconds, and few models need it.
        from mmpretrain.models.backbones import VisionTransformer

        self.visual = VisionTransformer(**vit)
        if not self.visual.with_cls_token:
            raise ValueError(f'vit={dict(vit)!r} is refused: it has no class token')
        _refuse_unread(self.visual)
        heads = self.visual.layers[0].attn.num_heads
        self.visual.layers = nn.ModuleList(map(MMPretrainBlock, self.visual.layers))
        self.width = self.visual.embed_dims
        self.joint_dim = self.width if joint_dim is None else joint_dim
        self.projection = None
        if joint_dim is not None:
            self.projection = nn.Linear(self.width, joint_dim, bias=False)
            nn.init.normal_(self.projection.weight, std=self.width**-0.5)  # as CLIP's
        self.heads = heads
        self.freeze()

    @classmethod
    def narrowed(cls, cfg: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        """See :meth:`ImageTower.narrowed`; depth and patches stay the config's."""
        width = sizes.width
        narrow = dict(embed_dims=width, num_heads=sizes.heads, feedforward_channels=4 * width)
        arch = {**_find_sizes(cfg['vit']['arch']), **narrow}
        joint = dict(joint_dim=sizes.joint) if cfg.get('joint_dim') else {}
        return dict(vit=dict(cfg['vit'], arch=arch, init_cfg=None), **joint)

    @classmethod
    def narrow_joint_dim(cls, cfg: Mapping[str, Any], sizes: Sizes) -> int:
        """See :meth:`BaseImageTower.narrow_joint_dim`: the width without a joint space."""
        return sizes.joint if cfg.get('joint_dim') else sizes.width

    @classmethod
    def depth(cls, cfg: Mapping[str, Any]) -> int:
        """See :meth:`BaseImageTower.depth`."""
        return int(_find_sizes(cfg['vit']['arch'])['num_layers'])

    @property
    def blocks(self) -> Sequence[Block]:
        """See :attr:`BaseImageTower.blocks`."""
        return self.visual.layers

    @property
    def class_embedding(self) -> Tensor:
        """See :attr:`BaseImageTower.class_embedding`."""
        return self.visual.cls_token[0, 0]

    @property
    def patch_size(self) -> tuple[int, int]:
        """See :attr:`BaseImageTower.patch_size`."""
        return self.visual.patch_embed.projection.kernel_size

    @property
    def own_grid(self) -> tuple[int, int]:
        """See :attr:`BaseImageTower.own_grid`."""
        rows, columns = self.visual.patch_resolution
        return rows, columns

    def patchify(self, images: Tensor) -> Tensor:
        """See :meth:`BaseImageTower.patchify`."""
        return self.visual.patch_embed(images)[0]

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """See :meth:`BaseImageTower.positions`; interpolation is MMPretrain's."""
        vit = self.visual
        table = vit.resize_pos_embed(
            vit.pos_embed, vit.patch_resolution, grid, vit.interpolate_mode, vit.num_extra_tokens
        )
        return table[0]

    def finish(self, tokens: Tensor) -> Tensor:
        """See :meth:`BaseImageTower.finish`."""
        # As open_clip's norms, it keeps the type of the tokens under autocast.
        return self.visual.pre_norm(self.visual.drop_after_pos(tokens)).to(tokens.dtype)

    def normalise(self, tokens: Tensor) -> Tensor:
        """See :meth:`BaseImageTower.normalise`."""
        return self.visual.ln1(tokens) if self.visual.final_norm else tokens

    def project(self, tokens: Tensor) -> Tensor:
        """See :meth:`BaseImageTower.project`."""
        return self.project_tokens(tokens[:, :1])[:, 0]

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """See :meth:`BaseImageTower.project_tokens`."""
        tokens = self.normalise(tokens)
        return tokens if self.projection is None else self.projection(tokens)


def _refuse_unread(vit: Any) -> None:
    """Raise ValueError for options of a ``VisionTransformer`` that the tower does not read."""
    if vit.out_type != 'cls_token':
        raise ValueError(
            f"out_type='{vit.out_type}': the feature of an image is its class token; leave it out"
        )
    if list(vit.out_indices) != [vit.num_layers - 1]:
        raise ValueError(
            f'out_indices={list(vit.out_indices)}: the tower ends with its last block; leave it out'
        )
    if rate := max(layer.attn.attn_drop for layer in vit.layers):
        raise ValueError(
            f'attn_drop_rate={rate}: attention has no dropout here; leave it out of layer_cfgs'
        )


def _find_sizes(arch: str | dict[str, Any]) -> dict[str, Any]:
    """Sizes of an architecture, which MMPretrain may have under a name."""
    from mmpretrain.models.backbones import VisionTransformer  # here: it takes seconds

    return VisionTransformer.arch_zoo[arch] if isinstance(arch, str) else arch
