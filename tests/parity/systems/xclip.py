"""X-CLIP, from the released state dict through the converter."""

from typing import Any

from torch import Tensor, nn

from mmstan.methods.xclip import XCLIP, MultiFrameIntegration, VideoPrompting
from mmstan.methods.xclip import checkpoints as xclip
from mmstan.models import TextTower


def build(meta: dict[str, Any], state: dict[str, Tensor]) -> nn.ModuleDict:
    """The parts of the case's sizes, with its weights, strictly loaded."""
    vision, text = dict(meta['vision']), dict(meta['text'])
    vision['head_width'] = vision['width'] // vision.pop('heads')
    text['vocab_size'] = text.pop('vocab')
    dim = meta['projection_dim']
    sizes, heads = dict(embed_dim=dim, quick_gelu=True), max(1, dim // 64)
    parts = nn.ModuleDict(
        dict(
            backbone=XCLIP(dict(type='mmstan.ImageTower', model=dict(sizes, vision_cfg=vision))),
            neck=MultiFrameIntegration(
                dim, num_frames=meta['frames'], heads=heads, layers=meta['mit_layers']
            ),
            text_tower=TextTower(dict(sizes, text_cfg=text)),
            prompting=VideoPrompting(dim, heads=heads, layers=meta['prompt_layers']),
        )
    )
    ours = xclip.from_released(state, text_tower='text_tower.')
    del ours['cls_head.logit_scale']
    parts.load_state_dict({name.removeprefix('cls_head.'): x for name, x in ours.items()})
    return parts.eval()


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    parts = build(meta, state)
    (video, context), _ = parts['neck'](parts['backbone'](io['video']))
    text = parts['text_tower'](io['token_ids']).sentence
    cosines = parts['prompting'](text, video, context)
    return dict(
        video_features=video,
        visual_context=context,
        text_features=text,
        logits=state['logit_scale'].exp() * cosines,
    )
