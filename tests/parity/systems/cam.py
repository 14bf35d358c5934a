"""Maps of STAN's layers, against grad-cam's own; the weights have mmstan's names."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mmstan.methods.stan import STAN
from mmstan.visualization import Method, compute_maps, find_layer

INPUTS = ('clip', 'text')
OF_LARGEST = 1e-4  # maps are thousandths: 1e-5 of 1 would prove little
METHODS: dict[str, Method] = {'frame': 'gradcam', 'elementwise': 'elementwise'}


def build(meta: dict[str, Any], state: dict[str, Tensor]) -> nn.Module:
    """A module with the case's STAN as its backbone."""
    vision = dict(
        image_size=meta['image_size'],
        patch_size=meta['patch_size'],
        width=meta['width'],
        layers=meta['layers'],
        head_width=meta['width'] // meta['heads'],
    )
    sizes = dict(embed_dim=meta['joint_dim'], quick_gelu=meta['activation'] == 'quick_gelu')
    time_table = next(x for name, x in state.items() if name.endswith('time_embedding'))
    model = nn.Module()
    model.backbone = STAN(
        dict(type='mmstan.ImageTower', model=dict(sizes, vision_cfg=vision)),
        levels=meta['levels'],
        max_frames=len(time_table),
    )
    model.backbone.load_state_dict(state)
    return model.eval()


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    model: Any = build(meta, state)

    def score() -> Tensor:
        return F.cosine_similarity(model.backbone(io['clip'])[0].mean(dim=0), io['text'], dim=0)

    ours = {'score': score()[None]}
    for name in io:
        kind, _, layer = name.partition('.')
        if kind in METHODS:
            method = METHODS[kind]
            found = compute_maps(
                model, io['clip'], find_layer(model.backbone, layer), [method], score
            )
            ours[name] = found.maps[method]
    return ours
