"""DiST and its zero-shot fusion, from the released state dict through the converter."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmstan.methods.dist import DiST, FusedTextHead
from mmstan.methods.dist import checkpoints as dist
from mmstan.models import TextTower
from mmstan.models.features import TextFeatures


def sizes(meta: dict[str, Any]) -> dict[str, Any]:
    """Explicit sizes of both towers."""
    vision, text = dict(meta['vision']), dict(meta['text'])
    vision['head_width'] = vision['width'] // vision.pop('heads')
    text['vocab_size'] = text.pop('vocab')
    return dict(embed_dim=meta['projection_dim'], quick_gelu=True, vision_cfg=vision, text_cfg=text)


def build(meta: dict[str, Any], state: dict[str, Tensor]) -> tuple[DiST, TextTower]:
    """Backbone and text tower of the case's sizes, with its weights, strictly loaded."""
    backbone = DiST(
        dict(type='mmstan.ImageTower', model=sizes(meta), frozen=True),
        gamma=meta['gamma'],
        num_frames=meta['sparse_frames'],
        width=meta['integration_width'],
        temporal_width=meta['temporal_width'],
        pooling_layers=meta['pooling_layers'],
        frame_features=True,
    )
    text_tower = TextTower(sizes(meta))
    ours = dist.from_released(state, text_tower='text_tower.')
    model = nn.ModuleDict(dict(backbone=backbone, text_tower=text_tower))
    model.load_state_dict(ours)
    model.eval()
    return backbone, text_tower


class GivenTexts(nn.Module):
    """Features in the place of class names, for a tower that no tokenizer fits."""

    def __init__(self, sentence: Tensor) -> None:
        super().__init__()
        self.sentence = F.normalize(sentence, dim=-1)

    def forward(self) -> TextFeatures:
        return TextFeatures(
            self.sentence[:, None], self.sentence, torch.ones(len(self.sentence), 1)
        )


def fused_head(meta: dict[str, Any], sentence: Tensor, scale: Tensor, weight: float) -> nn.Module:
    """A head that scores texts of these features."""
    text = dict(sizes(meta)['text_cfg'], vocab_size=49408, width=8, layers=1)
    tower = dict(type='mmstan.TextTower', model=dict(sizes(meta), text_cfg=text))
    names = [f'class {chr(ord("a") + i)}' for i in range(meta['classes'])]
    head = FusedTextHead(names, tower, logit_scale=scale.item(), frame_weight=weight)
    head.texts = GivenTexts(sentence)
    return head.eval()


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    backbone, text_tower = build(meta, state)
    video, frames = backbone(io['video'])
    text, scale = text_tower(io['token_ids']).sentence, state['logit_scale'].exp()
    return {
        'frame_features': frames,
        'text_features': text,
        'video_features': F.normalize(video, dim=-1),
        'logits': fused_head(meta, text, scale, 0.0)((video, frames)),
        'logits.zero_shot': fused_head(meta, text, scale, 0.5)((video, frames)),
    }
