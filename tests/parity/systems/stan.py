"""STAN and its text tower, from the released state dict through the converter."""

from typing import Any

from torch import Tensor

from mmstan.converters import stan
from mmstan.models import STAN, TextTower

NO_COUNTERPART = {
    'sim.*': 'Mug is an interaction; mmstan has no interactions yet',
    'loss.*': 'mmstan has no retrieval head yet',
}


def build(meta: dict[str, Any], state: dict[str, Tensor]) -> tuple[STAN, TextTower]:
    """Backbone and text tower of the case's sizes, with its weights, strictly loaded."""
    vision, text = dict(meta['vision']), dict(meta['text'])
    vision['head_width'] = vision['width'] // vision.pop('heads')
    text['vocab_size'] = text.pop('vocab')
    sizes = dict(embed_dim=meta['projection_dim'], quick_gelu=True)
    depth, layers = meta['stan_depth'], vision['layers']
    backbone = STAN(
        dict(type='mmstan.ImageTower', model=dict(sizes, vision_cfg=vision)),
        levels=tuple(range(layers - depth + 1, layers + 1)),
        max_frames=len(state['video.STAN_time_embed.weight']),
    )
    text_tower = TextTower(dict(sizes, text_cfg=text))
    ours = stan.from_released(state, video='video.', text='text.')
    for module, prefix in ((backbone, 'backbone.'), (text_tower, 'text_tower.')):
        part = {k.removeprefix(prefix): v for k, v in ours.items() if k.startswith(prefix)}
        module.load_state_dict(part)
    return backbone.eval(), text_tower.eval()


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    backbone, text_tower = build(meta, state)
    text = text_tower(io['token_ids'])
    return {
        'frame_features': backbone(io['video']),
        'text_features': text.sentence,
        'token_features': text.tokens,
    }
