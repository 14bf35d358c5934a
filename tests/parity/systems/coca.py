"""CoCa's towers, from its weights as a user has them: the file is given as ``pretrained``."""

from typing import Any

import torch
from torch import Tensor

from mmstan.models import FrameEncoder, TextTower


def sizes(meta: dict[str, Any]) -> dict[str, Any]:
    """Explicit sizes of the towers, from those of ``meta.json``."""
    vision, text = dict(meta['vision']), dict(meta['text'])
    heads, queries = vision.pop('pooler_heads'), vision.pop('pooler_queries')
    vision['head_width'] = vision['width'] // vision.pop('heads')
    pooler = dict(attentional_pool=True, attn_pooler_queries=queries, attn_pooler_heads=heads)
    text_cfg = dict(text, vocab_size=text['vocab'], pad_id=meta['pad_id'], embed_cls=True)
    del text_cfg['vocab']
    return dict(
        embed_dim=meta['projection_dim'], vision_cfg=dict(vision, **pooler), text_cfg=text_cfg
    )


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    arguments = dict(model=sizes(meta), pretrained=f'{meta["folder"]}/state.safetensors')
    backbone = FrameEncoder(dict(type='mmstan.ImageTower', **arguments)).eval()
    text = TextTower(**arguments).eval()
    backbone.init_weights()
    text.init_weights()

    video, ids = io['video'], io['token_ids']
    hidden = backbone.tokens(video)  # (N, T, 1 + L, C)
    pooled = backbone.tower.pool(hidden.flatten(0, 1)).unflatten(0, hidden.shape[:2])

    blocks: list[Tensor] = []
    text.text.ln_final.register_forward_pre_hook(lambda _, args: blocks.append(args[0]))
    features = text(ids)
    # The class token is last, and is no word; padding is 0 in the golden tensors.
    real = features.mask[:, :-1, None]
    zero = torch.zeros(())
    return {
        'frame_features': backbone(video),
        'hidden_tokens': hidden,
        'frame_tokens': pooled[:, :, 1:],
        'text_features': features.sentence,
        'text_hidden_tokens': torch.where(real, blocks[0][:, :-1], zero),
        'token_features': torch.where(real, features.tokens[:, :-1], zero),
    }
