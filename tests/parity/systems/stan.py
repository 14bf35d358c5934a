"""STAN, its text tower and Mug, from the released state dict through the converter."""

import re
from typing import Any

from torch import Tensor

from mmstan.methods.mug import Mug
from mmstan.methods.stan import STAN
from mmstan.methods.stan import checkpoints as stan
from mmstan.models import RetrievalHead, TextTower
from mmstan.models.features import VideoFeatures, frame_mask

FORMS = dict(
    mug_frame_token=dict(form='exact'),
    mug_frame_token_simple=dict(form='simple'),
    mug_frame_text=dict(text='sentence'),
)


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
    frames = backbone(io['video'])
    video = VideoFeatures(frames, frame_mask(frames))
    ours = dict(frame_features=frames, text_features=text.sentence, token_features=text.tokens)
    for name in io:  # the temperatures are in the names
        if match := re.fullmatch(r'sim\.(\w+)\.tau([\d.]+)', name):
            ours[name] = Mug(sharpness=float(match[2]), **FORMS[match[1]])(text, video)
        elif match := re.fullmatch(r'loss\.mug_(\w+)_tau([\d.]+)\.scale([\d.]+)', name):
            mug = dict(type='mmstan.Mug', form=match[1], sharpness=float(match[2]))
            ours[name] = sum(RetrievalHead(mug, scale=float(match[3])).loss(text, video).values())
        elif match := re.fullmatch(r'loss\.mean_pool\.scale([\d.]+)', name):
            mean = dict(type='mmstan.Cosine', frames='raw')
            ours[name] = sum(RetrievalHead(mean, scale=float(match[1])).loss(text, video).values())
    return ours
