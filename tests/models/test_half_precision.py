"""Under autocast tokens stay in half precision from layer to layer, as CLIP's do."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.every_backbone import BACKBONES, DIST, FROZEN, SIZE, T
from helpers.tiny_models import CLIP, IMAGE, TOWER, VIT_TOWER
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mmstan.registry import MODELS

CLIPS = 2
FACTORS = dict(CLIP, vision_cfg=dict(IMAGE, ls_init_value=0.1))
VIT = dict(VIT_TOWER['vit'], pre_norm=True, layer_scale_init_value=0.1)
CASES: dict[str, dict[str, Any]] = {
    **{name: dict(cfg, tower=TOWER) for name, cfg in BACKBONES.items()},
    'bt_adapter': dict(
        BACKBONES['stan'], tower=TOWER, class_token='own', gates=True, own_positions=True
    ),
    'quick gelu': dict(BACKBONES['stan'], tower=dict(TOWER, model=dict(CLIP, quick_gelu=True))),
    'layer scale': dict(BACKBONES['stan'], tower=dict(TOWER, model=FACTORS)),
    'vit': dict(BACKBONES['stan'], tower=dict(VIT_TOWER, vit=VIT)),
    **{
        f'dist, {block}': dict(DIST, tower=FROZEN, temporal_block=block)
        for block in ('r2plus1d', 'tadaconv', 'joint')
    },
}


def norm_as_cuda(plain: Any) -> Any:
    """CUDA's autocast gives the result of a norm in float32, the CPU's does not."""

    def norm(x: Tensor, *args: Any, **options: Any) -> Tensor:
        return plain(x.float(), *args, **options)

    return norm


@pytest.mark.parametrize('compiled', [False, True])
@pytest.mark.parametrize('name', CASES)
@torch.no_grad()
def test_no_table_makes_the_tokens_float32(
    name: str, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every norm of more rows than there are frames reads bfloat16."""
    init_default_scope('mmaction')
    backbone = MODELS.build(CASES[name]).eval()
    monkeypatch.setattr(F, 'layer_norm', norm_as_cuda(F.layer_norm))
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: compiled)
    found: dict[str, torch.dtype] = {}

    def look(layer: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor]) -> None:
            if inputs[0][..., 0].numel() > CLIPS * T:
                found[layer] = inputs[0].dtype

        return hook

    for layer, module in backbone.named_modules():
        if isinstance(module, nn.LayerNorm):
            module.register_forward_pre_hook(look(layer))
    with torch.autocast('cpu', torch.bfloat16):
        backbone.tokens(torch.randn(CLIPS, 3, T, SIZE, SIZE))
        backbone(torch.randn(CLIPS, 3, T, SIZE, SIZE))
    assert len(found) >= 8
    assert {layer for layer, dtype in found.items() if dtype is not torch.bfloat16} == set()
