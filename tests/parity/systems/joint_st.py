"""TimeSformer, joint and divided, on MMPretrain's vision transformer, through the converter."""

from typing import Any

import torch
from mmaction.models.heads import TimeSformerHead
from torch import Tensor, nn

from mmstan.methods.timesformer import DividedSpaceTime, JointSpaceTime
from mmstan.methods.timesformer import checkpoints as timesformer


def build(meta: dict[str, Any], state: dict[str, Tensor]) -> nn.ModuleDict:
    """Backbone and head of the case's sizes, with its weights, strictly loaded."""
    vision = meta['vision']
    arch = dict(
        embed_dims=vision['width'],
        num_layers=vision['layers'],
        num_heads=vision['heads'],
        feedforward_channels=4 * vision['width'],
    )
    vit = dict(arch=arch, img_size=vision['image_size'], patch_size=vision['patch_size'])
    joint = meta['attention_type'] == 'joint_space_time'
    backbone = (JointSpaceTime if joint else DividedSpaceTime)(
        dict(type='mmstan.MMPretrainImageTower', vit=vit), num_frames=meta['frames']
    )
    head = TimeSformerHead(meta['classes'], backbone.out_dim)
    model = nn.ModuleDict(dict(backbone=backbone, cls_head=head))
    model.load_state_dict(timesformer.from_released(state))
    return model.eval()


def patch_major(x: Tensor, t: int) -> Tensor:
    """Tokens (N, 1 + T*L, C), frame after frame -> patch after patch."""
    patches = x[:, 1:].unflatten(1, (t, -1)).transpose(1, 2).flatten(1, 2)
    return torch.cat([x[:, :1], patches], dim=1)


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    model = build(meta, state)
    backbone, head = model['backbone'], model['cls_head']
    t, depth = meta['frames'], meta['vision']['layers']
    ours = {}
    features = backbone(io['video'])[:, 0]
    x = backbone.embed(io['video'])
    ours['embedded_tokens'] = patch_major(x, t)
    # The layers behind a block make tokens of what `tokens` gives, the class token's copies gone.
    blocks = backbone.tower.blocks
    for number in range(1, depth + 1):
        backbone.tower.visual.layers = nn.ModuleList(blocks[:number])
        tokens = backbone.tokens(io['video'])
        joined = torch.cat([tokens[:, 0, :1], tokens[:, :, 1:].flatten(1, 2)], dim=1)
        ours[f'tokens.{number - 1}'] = patch_major(joined, t)
    ours['video_features'] = features
    ours['logits'] = head(features)
    ours['logits.other_frames'] = head(backbone(io['video.other_frames'])[:, 0])
    return ours
