"""EVL, through the converter: the tower from CLIP's file, and from the names of the tuned one."""

from pathlib import Path
from typing import Any

import torch
from mmaction.models.heads import TimeSformerHead
from torch import Tensor, nn

from mmstan.methods.evl import EVL
from mmstan.methods.evl import checkpoints as evl


def build(meta: dict[str, Any], *, pretrained: Path | None = None) -> nn.ModuleDict:
    """Backbone and head of the case's sizes; the tower with the weights of ``pretrained``."""
    vision = dict(meta['vision'])
    vision['head_width'] = vision['width'] // vision.pop('heads')
    sizes = dict(embed_dim=16, quick_gelu=True, vision_cfg=vision)
    backbone = EVL(
        dict(type='mmstan.ImageTower', model=sizes, pretrained=pretrained and str(pretrained)),
        layers=meta['decoder_layers'],
        num_frames=meta['frames'],
        image_size=vision['image_size'],
        heads=meta['decoder_heads'],
        attention_width=meta['decoder_qkv_dim'],
    )
    backbone.init_weights()
    head = TimeSformerHead(meta['classes'], backbone.out_dim)
    return nn.ModuleDict(dict(backbone=backbone, cls_head=head)).eval()


def load(model: nn.Module, ours: dict[str, Tensor], absent: set[str]) -> nn.Module:
    """Load strictly, but for ``absent``."""
    keys = model.load_state_dict(ours, strict=False)
    assert not keys.unexpected_keys
    assert set(keys.missing_keys) == absent
    return model


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    frozen = build(meta, pretrained=Path(meta['folder']) / 'clip_visual.safetensors')
    tower = {name for name in frozen.state_dict() if name.startswith('backbone.tower.')}
    decoder = {name: x for name, x in state.items() if not name.startswith('backbone.')}
    load(frozen, evl.from_released(decoder), tower)

    unread = {name for name in tower if '.ln_post.' in name or name.endswith('.proj')}
    model = load(build(meta), evl.from_released(state), unread)

    found: dict[str, Tensor] = {}
    shape = (meta['batch'], meta['frames'])
    first = meta['vision']['layers'] - meta['decoder_layers']
    for i, layer in enumerate(model['backbone'].layers):
        block = model['backbone'].tower.blocks[first + i]
        names = f'block_features.{i}', f'temporal_features.{i}', f'query.{i}'
        block.register_forward_hook(
            lambda _, __, x, name=names[0]: found.update({name: x.unflatten(0, shape)})
        )
        layer.norm_frames.register_forward_pre_hook(
            lambda _, args, name=names[1]: found.update({name: args[0]})
        )
        layer.register_forward_hook(lambda _, __, x, name=names[2]: found.update({name: x[:, 0]}))
    features = model['backbone'](io['video'])
    found['video_features'] = found[f'query.{meta["decoder_layers"] - 1}']
    found['logits'] = model['cls_head'](features[:, 0])
    torch.testing.assert_close(frozen['backbone'](io['video']), features, rtol=0, atol=0)
    return found
