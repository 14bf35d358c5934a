"""open_clip's vision transformers as image towers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch.nn.functional as F
from mmengine.logging import print_log
from open_clip.model import _build_vision_tower, resize_pos_embed
from open_clip.transformer import ResidualAttentionBlock
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from mmstan.models.sizes import Sizes
from mmstan.models.towers.architecture import find_architecture, narrow_architecture
from mmstan.models.towers.base import BaseImageTower
from mmstan.models.towers.block import Block, OpenClipBlock
from mmstan.models.towers.weights import find_weights, load_part, read_weights, resize_table
from mmstan.registry import MODELS
from mmstan.wording import check_choice


@MODELS.register_module()
class ImageTower(BaseImageTower):
    """The vision transformer of CLIP, CoCa or another open_clip model.

    Parameters are under ``visual.`` with open_clip's names, so files of OpenAI and open_clip load
    without a key map.

    Args:
        model: open_clip's name (``'ViT-B-16'``, ``'coca_ViT-B-32'``), or explicit sizes:
            ``dict(embed_dim=, vision_cfg=dict(image_size=, layers=, width=, patch_size=,
            head_width=), quick_gelu=)``.
        pretrained: A tag of open_clip (``'openai'``, ``'laion2b_s34b_b88k'``), a local file
            (OpenAI's TorchScript, open_clip's, safetensors), or None for random weights.
            :meth:`init_weights` reads it.
        image_size: Pixels of a side, the model's own by default. The position table is interpolated
            to it when the weights are loaded, and at run time for frames of other sizes.
        frozen: The parameters get no gradients, and the tower stays in evaluation mode under
            ``model.train()``.
        feature: Of an image in the joint space: its ``'class'`` token, or the mean of its
            ``'patches'``, for towers without a class token's feature (Mug-STAN, III-A: Florence).

    Raises:
        ValueError: The model is unknown, has no class token or drops patches; or it has an
            attention pooler and ``feature='patches'``.

    Example:
        >>> import torch
        >>> from mmstan.models.towers import ImageTower
        >>> sizes = dict(image_size=32, layers=2, width=64, patch_size=8, head_width=32)
        >>> tower = ImageTower(dict(embed_dim=16, vision_cfg=sizes))
        >>> tower(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        model: str | Mapping[str, Any],
        *,
        pretrained: str | None = None,
        image_size: int | None = None,
        frozen: bool = False,
        feature: Literal['class', 'patches'] = 'class',
    ) -> None:
        super().__init__(frozen=frozen)
        check_choice('feature', feature, ('class', 'patches'))
        arch = find_architecture(model, pretrained)
        vision_cfg = dict(arch.vision_cfg)
        if rate := vision_cfg.get('patch_dropout'):
            raise ValueError(f'patch_dropout={rate}: the tower keeps all patches; leave it out')
        if image_size is not None:
            vision_cfg['image_size'] = image_size
        self.model, self.pretrained = arch.name, pretrained
        self.visual = _build_vision_tower(arch.embed_dim, vision_cfg, quick_gelu=arch.quick_gelu)
        # open_clip's blocks become ours, whose two halves can be called; parameter names stay.
        blocks = self.visual.transformer.resblocks
        if not all(isinstance(block, ResidualAttentionBlock) for block in blocks):
            raise ValueError(
                f"model='{arch.name}' is refused: its blocks are not plain pre-norm ones "
                '(ViT-B-16, ViT-L-14, coca_ViT-B-32 and the like are)'
            )
        self.visual.transformer.resblocks = nn.ModuleList(map(OpenClipBlock, blocks))
        self.width = self.visual.transformer.width
        self.heads = blocks[0].attn.num_heads
        self.joint_dim = arch.embed_dim
        if feature == 'patches' and self.visual.attn_pool is not None:
            raise ValueError(
                f"feature='patches': the attention pooler of model='{arch.name}' reads all tokens; "
                'leave feature out'
            )
        self.feature = feature
        self.reads_patches = self.visual.attn_pool is not None or feature == 'patches'
        activation = 'QuickGELU' if arch.quick_gelu else 'GELU'
        print_log(f'image tower {arch.name}: {activation}, weights {pretrained}', logger='current')
        self.freeze()

    @classmethod
    def narrowed(cls, cfg: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        """The settings of the config ``cfg`` that change in its narrow form."""
        model = narrow_architecture(cfg['model'], cfg.get('pretrained'), sizes)
        return dict(model=model, pretrained=sizes.pretrained)

    @classmethod
    def depth(cls, cfg: Mapping[str, Any]) -> int:
        """See :meth:`BaseImageTower.depth`."""
        return int(find_architecture(cfg['model'], cfg.get('pretrained')).vision_cfg['layers'])

    def init_weights(self) -> None:
        """Load all tensors of the image tower from ``pretrained``; a missing one is an error."""
        self.has_weights = True
        if self.pretrained is None:
            return
        path = find_weights(self.model, self.pretrained)
        state = read_weights(path)
        table = state.get('visual.positional_embedding')
        if table is not None and len(table) != len(self.visual.positional_embedding):
            resize_table(resize_pos_embed, state, self, path)
            grid = 'x'.join(map(str, self.visual.grid_size))
            print_log(f'{path}: {len(table) - 1} patch positions -> {grid}', 'current')
        load_part(self.visual, state, prefix='visual.', source=str(path))

    @property
    def blocks(self) -> Sequence[Block]:
        """See :attr:`BaseImageTower.blocks`."""
        return self.visual.transformer.resblocks

    @property
    def class_embedding(self) -> Tensor:
        """See :attr:`BaseImageTower.class_embedding`."""
        return self.visual.class_embedding

    @property
    def patch_size(self) -> tuple[int, int]:
        """See :attr:`BaseImageTower.patch_size`."""
        return self.visual.patch_size

    @property
    def own_grid(self) -> tuple[int, int]:
        """See :attr:`BaseImageTower.own_grid`."""
        rows, columns = self.visual.grid_size
        return rows, columns

    def patchify(self, images: Tensor) -> Tensor:
        """See :meth:`BaseImageTower.patchify`."""
        return self.visual.conv1(images).flatten(2).transpose(1, 2)  # (B, C, h, w) -> (B, L, C)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """See :meth:`BaseImageTower.positions`; interpolation is open_clip's (bicubic)."""
        table, own = self.visual.positional_embedding, self.visual.grid_size
        if tuple(grid) == tuple(own):
            return table
        return resample_abs_pos_embed(table[None], list(grid), list(own))[0]

    def finish(self, tokens: Tensor) -> Tensor:
        """See :meth:`BaseImageTower.finish`."""
        return self.visual.ln_pre(tokens)

    def pool(self, tokens: Tensor) -> Tensor:
        """Tokens (B, S, C) -> the tokens before the projection.

        CLIP: all tokens after the last norm, (B, S, C). CoCa: the Q outputs of its attention
        pooler after the last norm, (B, Q, D). :meth:`project` takes the first one.
        """
        if self.visual.attn_pool is not None:
            tokens = self.visual.attn_pool(tokens)
        return self.visual.ln_post(tokens)

    def normalise(self, tokens: Tensor) -> Tensor:
        """See :meth:`BaseImageTower.normalise`."""
        self.refuse_pooled_patches()
        return self.visual.ln_post(tokens)

    def project(self, tokens: Tensor) -> Tensor:
        """See :meth:`BaseImageTower.project`."""
        if self.feature == 'patches':
            return self.pool(tokens[:, 1:]).mean(dim=1) @ self.visual.proj
        # CLIP projects the class token alone: its norm need not see the patches.
        pooled = self.pool(tokens if self.reads_patches else tokens[:, :1])
        return pooled[:, 0] @ self.visual.proj

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """See :meth:`BaseImageTower.project_tokens`.

        For CoCa a token goes through the pooler's value path. This is the pooler's output, for any
        query, on a sequence of that token alone.
        """
        pooler = self.visual.attn_pool
        if pooler is not None:
            # Softmax over one key is 1, so attention is out_proj(W_v ln_k(token) + b_v).
            attn, d = pooler.attn, pooler.attn.embed_dim
            weight = (
                attn.in_proj_weight[2 * d :] if attn._qkv_same_embed_dim else attn.v_proj_weight
            )
            tokens = F.linear(pooler.ln_k(tokens), weight, attn.in_proj_bias[2 * d :])
            tokens = attn.out_proj(tokens)
        return self.visual.ln_post(tokens) @ self.visual.proj
