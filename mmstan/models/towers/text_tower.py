"""open_clip's text transformers as text towers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import open_clip
import torch
from mmengine.logging import print_log
from open_clip.model import _build_text_tower, resize_text_pos_embed
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor, nn

from mmstan.models.features import TextFeatures
from mmstan.models.sizes import Sizes
from mmstan.models.towers.architecture import find_architecture, narrow_architecture
from mmstan.models.towers.base import Tower
from mmstan.models.towers.weights import find_weights, load_part, read_weights, resize_table
from mmstan.registry import MODELS


@MODELS.register_module()
class TextTower(Tower):
    """The text transformer of CLIP, CoCa or another open_clip model.

    Parameters are under ``text.`` with open_clip's names.

    Args:
        model: open_clip's name, or explicit sizes: ``dict(embed_dim=, text_cfg=dict(
            context_length=, vocab_size=, width=, heads=, layers=), quick_gelu=)``.
        pretrained: As for :class:`ImageTower`.
        frozen: The parameters get no gradients, and the tower stays in evaluation mode under
            ``model.train()``.
        checkpointing: Recompute blocks in the backward pass, for large batches.
    """

    def __init__(
        self,
        model: str | Mapping[str, Any],
        *,
        pretrained: str | None = None,
        frozen: bool = False,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(frozen=frozen)
        arch = find_architecture(model, pretrained)
        self.model, self.pretrained = arch.name, pretrained
        self.text = _build_text_tower(arch.embed_dim, arch.text_cfg, quick_gelu=arch.quick_gelu)
        self.text.set_grad_checkpointing(checkpointing)  # open_clip's, which is not reentrant
        self.width, self.joint_dim = self.text.width, arch.embed_dim
        self.context_length, self.vocab_size = self.text.context_length, self.text.vocab_size
        named = isinstance(model, str)
        self._tokenizer = open_clip.get_tokenizer(model) if named else SimpleTokenizer()
        activation = 'QuickGELU' if arch.quick_gelu else 'GELU'
        print_log(f'text tower {arch.name}: {activation}, weights {pretrained}', logger='current')
        self.freeze()

    @classmethod
    def narrowed(cls, cfg: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        """The settings of the config ``cfg`` that change in its narrow form."""
        model = narrow_architecture(cfg['model'], cfg.get('pretrained'), sizes)
        return dict(model=model, pretrained=sizes.pretrained)

    def init_weights(self) -> None:
        """Load all tensors of the text tower from ``pretrained``; a missing one is an error."""
        self.has_weights = True
        if self.pretrained is None:
            return
        path = find_weights(self.model, self.pretrained)
        state = read_weights(path)
        table = state.get('text.positional_embedding')
        if table is not None and table.shape[1] == self.width and len(table) != self.text.num_pos:
            resize_table(resize_text_pos_embed, state, self, path)
            print_log(f'{path}: {len(table)} text positions -> {self.text.num_pos}', 'current')
        load_part(self.text, state, prefix='text.', source=str(path))

    def shard_units(self) -> list[nn.Module]:
        """See :meth:`Tower.shard_units`."""
        return list(self.text.transformer.resblocks)

    @property
    def has_class_token(self) -> bool:
        """Whether a class token (CoCa), not the end-of-text token, is the sentence."""
        return self.text.cls_emb is not None

    def tokenize(self, texts: Sequence[str], length: int | None = None) -> Tensor:
        """Texts -> token ids (M, J), 0 where a text has ended.

        A text that is too long is cut and keeps its end-of-text token.

        Args:
            texts: M texts.
            length: J, at most the context length, which is the default. CoCa always runs at its
                context length: its class token sits at the last position.

        Raises:
            ValueError: ``length`` is out of range, or the vocabulary is not CLIP's.
        """
        if self.has_class_token or length is None:
            length = self.context_length
        if not 2 <= length <= self.context_length:
            raise ValueError(
                f'length={length}: a text has 2 to {self.context_length} tokens in {self.model}'
            )
        if self._tokenizer.vocab_size > self.vocab_size:
            raise ValueError(
                f"vocab_size={self.vocab_size} is too small for CLIP's tokenizer, which needs "
                f'{self._tokenizer.vocab_size}; pass token ids of your own, or set vocab_size'
            )
        with torch.device('cpu'):  # also where a model is built on the meta device: ids are data
            return self._tokenizer(list(texts), context_length=length)

    def forward(self, ids: Tensor) -> TextFeatures:
        """Token ids (M, J) -> :class:`TextFeatures`.

        With CoCa J is the context length, and its class token follows the J tokens: J + 1.

        Raises:
            ValueError: J is more than the context length, or, with CoCa, not the context length.
        """
        return self.encode(*self.embed(ids), ids)

    def embed(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids (M, J) -> the first block's input (M, J, C) and its attention mask.

        Both go to :meth:`encode`. In between, learned vectors can replace rows of words (CoOp).
        """
        length = ids.shape[1]
        if length > self.context_length or (self.has_class_token and length < self.context_length):
            allowed = 'exactly' if self.has_class_token else 'at most'
            raise ValueError(
                f'token ids (M, {length}): {self.model} takes {allowed} {self.context_length} '
                'tokens; `tokenize` makes them'
            )
        return self.text._embeds(ids)  # open_clip's, which has no public name

    def encode(self, x: Tensor, attn_mask: Tensor, ids: Tensor) -> TextFeatures:
        """The first block's input (M, J, C) -> :class:`TextFeatures`; ``ids`` give its end."""
        text = self.text
        # The causal mask of the context length, cut to the J tokens that there are.
        x = text.transformer(x, attn_mask=attn_mask[..., : x.shape[1], : x.shape[1]])
        tokens = text.ln_final(x) @ text.text_projection  # (M, J, D)
        last = ids.argmax(dim=1)  # end of text has the highest id; argmax takes the first of them
        # True up to the first end of text, which is the sentence: (M, J).
        mask = torch.arange(ids.shape[1], device=ids.device) <= last[:, None]
        if self.has_class_token:
            # CoCa's class token comes last and is always real.
            mask = torch.cat([mask, mask.new_ones(mask.shape[0], 1)], dim=1)
            return TextFeatures(tokens, tokens[:, -1], mask)
        return TextFeatures(
            tokens, tokens[torch.arange(ids.shape[0], device=ids.device), last], mask
        )
