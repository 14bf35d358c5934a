"""ST-Adapter, before the MLP and before both halves, through the converter."""

from typing import Any

from mmaction.models.heads import TimeSformerHead
from torch import Tensor, nn

from mmstan.methods.st_adapter import STAdapter
from mmstan.methods.st_adapter import checkpoints as st_adapter


def build(meta: dict[str, Any], state: dict[str, Tensor]) -> nn.ModuleDict:
    """Backbone and head of the case's sizes, with its weights; only the projection is not there."""
    vision = dict(meta['vision'])
    vision['head_width'] = vision['width'] // vision.pop('heads')
    sizes = dict(embed_dim=16, quick_gelu=True, vision_cfg=vision)
    backbone = STAdapter(
        dict(type='mmstan.ImageTower', model=sizes),
        hidden=meta['adapter_width'],
        layers=meta['adapter_layers'],
        before=('attention', 'mlp') if meta['adapter_pre_attn'] else ('mlp',),
        features='clip',
    )
    head = TimeSformerHead(meta['classes'], backbone.out_dim)
    model = nn.ModuleDict(dict(backbone=backbone, cls_head=head))
    ours = st_adapter.from_released(state)
    projection = 'backbone.tower.visual.proj'
    model.load_state_dict({**ours, projection: model.state_dict()[projection]})
    return model.eval()


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    model = build(meta, state)
    embedded: list[Tensor] = []
    finish = model['backbone'].tower.visual.ln_pre
    finish.register_forward_hook(lambda _, __, x: embedded.append(x))
    features = model['backbone'](io['video'])[:, 0]
    return dict(
        embedded_tokens=embedded[0].unflatten(0, (meta['batch'], meta['frames'])),
        tokens=model['backbone'].tokens(io['video']),
        video_features=features,
        logits=model['cls_head'](features),
    )
