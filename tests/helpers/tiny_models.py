"""Models of a few thousand parameters, as configs of towers and as open_clip builds them."""

from copy import deepcopy
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from mmstan.models import ImageTower, TextTower

IMAGE = dict(image_size=32, patch_size=8, width=32, layers=4, head_width=16)
TEXT = dict(context_length=12, vocab_size=64, width=24, heads=2, layers=2)
POOLER = dict(attentional_pool=True, attn_pooler_queries=5, attn_pooler_heads=2, output_tokens=True)
CLIP = dict(embed_dim=16, vision_cfg=IMAGE, text_cfg=TEXT)
COCA = dict(
    embed_dim=16,
    vision_cfg=dict(IMAGE, **POOLER),
    text_cfg=dict(TEXT, embed_cls=True, output_tokens=True),
)
# CLIP's tokenizer needs all its words.
WORDS = dict(CLIP, text_cfg=dict(TEXT, vocab_size=49408, width=8, heads=1, layers=1))
SIZES = dict(clip=CLIP, coca=COCA)

TOWER = dict(type='mmstan.ImageTower', model=CLIP)
COCA_TOWER = dict(type='mmstan.ImageTower', model=COCA)
VIT_TOWER = dict(
    type='mmstan.MMPretrainImageTower',
    vit=dict(
        arch=dict(embed_dims=32, num_layers=4, num_heads=2, feedforward_channels=64),
        img_size=32,
        patch_size=8,
        out_type='cls_token',
    ),
)


def reference(sizes: dict[str, Any], *, quick_gelu: bool = False) -> nn.Module:
    """open_clip's own model, every parameter random (many are born as zeros and ones)."""
    sizes = deepcopy(sizes)
    if sizes['text_cfg'].get('embed_cls'):
        context_length = sizes['text_cfg']['context_length']
        decoder = dict(context_length=context_length, width=16, heads=2, layers=1)
        sizes['multimodal_cfg'] = decoder
        model = open_clip.CoCa(**sizes, quick_gelu=quick_gelu)
    else:
        model = open_clip.CLIP(**sizes, quick_gelu=quick_gelu)
    return shaken(model).eval()


def shaken(module: nn.Module) -> nn.Module:
    """``module`` with noise on every parameter, so that none can be left out unseen."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return module


def towers(model: Any, weights: nn.Module, **arguments: Any) -> tuple[ImageTower, TextTower]:
    """Both towers of ``model`` with the weights of open_clip's."""
    image, text = ImageTower(model, **arguments), TextTower(model, **arguments)
    image.visual.load_state_dict(weights.visual.state_dict())
    source = getattr(weights, 'text', weights).state_dict()
    own = text.text.state_dict()
    text.text.load_state_dict({key: source[key] for key in own})
    return image.eval(), text.eval()


def token_ids(lengths: list[int], *, context_length: int = 12, vocab_size: int = 64) -> Tensor:
    """Random texts of ``lengths`` tokens, start and end included, 0 behind them: (M, J)."""
    ids = torch.zeros(len(lengths), context_length, dtype=torch.long)
    for row, length in zip(ids, lengths):
        row[:length] = torch.randint(1, vocab_size - 2, (length,))
        row[0], row[length - 1] = vocab_size - 2, vocab_size - 1
    return ids
