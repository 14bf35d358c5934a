"""X-CLIP's message token with the mean of the frames, through the converter."""

from typing import Any

from torch import Tensor

from mmstan.methods.xclip import XCLIP
from mmstan.methods.xclip import checkpoints as xclip
from mmstan.models import MeanPool


def build(meta: dict[str, Any], state: dict[str, Tensor]) -> XCLIP:
    """The backbone of the case's sizes, with its weights, strictly loaded."""
    vision = dict(meta['vision'])
    vision['head_width'] = vision['width'] // vision.pop('heads')
    sizes = dict(embed_dim=meta['projection_dim'], quick_gelu=True, vision_cfg=vision)
    backbone = XCLIP(dict(type='mmstan.ImageTower', model=sizes), context=False)
    ours = xclip.from_released(state, parts=('visual',))
    backbone.load_state_dict({name.removeprefix('backbone.'): x for name, x in ours.items()})
    return backbone.eval()


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    backbone = build(meta, state)
    inputs: list[Tensor] = []  # of each block: tokens and, last, the message (N*T, 1 + L + 1, C)
    for block in backbone.tower.blocks:
        block.ln_1.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    frames = backbone(io['video'])
    joined = [x.unflatten(0, frames.shape[:2]) for x in inputs]
    tokens = [x[:, :, :-1] for x in joined[1:]] + [backbone.tokens(io['video'])]
    return dict(
        frame_features=frames,
        video_features=MeanPool()(frames)[0],
        **{f'messages.{i}': x[:, :, -1] for i, x in enumerate(joined)},
        **{f'tokens.{i}': x for i, x in enumerate(tokens)},
    )
