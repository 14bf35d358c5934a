"""Which open_clip architecture a config means, by name or by explicit sizes."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import open_clip
from mmengine.logging import print_log

from mmstan.compat.closed import is_torchscript
from mmstan.models.sizes import Sizes

# Architectures of open_clip that have no class token, or no tokens at all.
_REFUSED = {
    'timm_model_name': 'its image tower is a timm model',
    'hf_model_name': 'its text tower is a Hugging Face model',
}


@dataclass(frozen=True)
class Architecture:
    """An open_clip model in open_clip's own words.

    Attributes:
        name: The model name, or ``'explicit sizes'``.
        embed_dim: Width D of the joint space.
        vision_cfg: Arguments of ``open_clip.CLIPVisionCfg``.
        text_cfg: Arguments of ``open_clip.CLIPTextCfg``.
        quick_gelu: Whether the MLPs use QuickGELU instead of GELU.
    """

    name: str
    embed_dim: int
    vision_cfg: dict[str, Any]
    text_cfg: dict[str, Any]
    quick_gelu: bool


def find_architecture(model: str | Mapping[str, Any], pretrained: str | None) -> Architecture:
    """Resolve the ``model`` argument of a tower.

    Args:
        model: A name known to open_clip (``'ViT-B-16'``, ``'coca_ViT-B-32'``), or a dict with
            ``embed_dim``, ``vision_cfg`` and/or ``text_cfg``, and ``quick_gelu``.
        pretrained: Tag or file of the weights: OpenAI's mean QuickGELU whatever the name says.

    Raises:
        ValueError: The name is unknown, or the architecture has no class token.
    """
    name = model if isinstance(model, str) else 'explicit sizes'
    cfg = _named(model) if isinstance(model, str) else deepcopy(dict(model))
    unknown = set(cfg) - {
        'embed_dim', 'vision_cfg', 'text_cfg', 'quick_gelu', 'multimodal_cfg', 'custom_text',
        'init_logit_scale', 'init_logit_bias', 'nonscalar_logit_scale',
    }  # fmt: skip
    if unknown or 'embed_dim' not in cfg:
        raise ValueError(
            f'model={model!r}: a dict of sizes has embed_dim, vision_cfg, text_cfg and quick_gelu; '
            f'unknown: {sorted(unknown)}'
        )
    vision, text = dict(cfg.get('vision_cfg', {})), dict(cfg.get('text_cfg', {}))
    _refuse_unknown('vision_cfg', vision, open_clip.CLIPVisionCfg)
    _refuse_unknown('text_cfg', text, open_clip.CLIPTextCfg)
    _refuse_without_class_token(name, vision, text)
    quick_gelu = bool(cfg.get('quick_gelu', False))
    quick_gelu = quick_gelu or _weights_use_quick_gelu(name, pretrained)
    return Architecture(name, cfg['embed_dim'], vision, text, quick_gelu)


def name_without_weights(
    model: str | Mapping[str, Any], pretrained: str | None
) -> str | dict[str, Any]:
    """The ``model`` argument that builds the same tower where ``pretrained`` is left out.

    OpenAI's weights mean QuickGELU whatever the name says, so the name has to say it then.
    """
    quick_gelu = find_architecture(model, pretrained).quick_gelu
    if isinstance(model, str):
        name = model if find_architecture(model, None).quick_gelu == quick_gelu else None
        quick = f'{model}-quickgelu'
        if name is None and quick in open_clip.list_models():
            name = quick
        return name or {**open_clip.get_model_config(model), 'quick_gelu': quick_gelu}
    return {**model, 'quick_gelu': quick_gelu}


def _refuse_unknown(name: str, sizes: Mapping[str, Any], cls: type) -> None:
    allowed = [field.name for field in fields(cls)]
    for key in sizes:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=3, cutoff=0.3)
            raise ValueError(f"{name} has no size '{key}'; near it: {', '.join(near)}")


def _named(model: str) -> dict[str, Any]:
    if model not in open_clip.list_models():  # open_clip would look for 'hf-hub:...' on the network
        near = difflib.get_close_matches(model, open_clip.list_models(), n=3, cutoff=0.3)
        raise ValueError(
            f"model='{model}' is not an open_clip model; near it: {', '.join(near)} "
            '(open_clip.list_models() has them all)'
        )
    return open_clip.get_model_config(model)


def _refuse_without_class_token(
    name: str, vision: Mapping[str, Any], text: Mapping[str, Any]
) -> None:
    reason = next((why for key, why in _REFUSED.items() if vision.get(key) or text.get(key)), None)
    if isinstance(vision.get('layers'), (list, tuple)):
        reason = 'its image tower is a ResNet'
    elif vision.get('pool_type', 'tok') != 'tok':
        reason = 'its image tower pools without a class token'
    elif isinstance(vision.get('attentional_pool', False), str):
        reason = f'its attention pooler is {vision["attentional_pool"]!r}'
    elif text.get('pool_type', 'argmax') != 'argmax' or text.get('no_causal_mask'):
        reason = 'its text tower is not a causal one that ends in an end-of-text token'
    if reason is not None:
        raise ValueError(
            f"model='{name}' is refused: {reason}; mmstan takes open_clip's vision transformers "
            'with a class token, e.g. ViT-B-16, ViT-L-14, coca_ViT-B-32'
        )


def _weights_use_quick_gelu(name: str, pretrained: str | None) -> bool:
    if pretrained is None:
        return False
    if open_clip.is_pretrained_cfg(name, pretrained):
        return bool(open_clip.get_pretrained_cfg(name, pretrained).get('quick_gelu', False))
    path = Path(pretrained).expanduser()
    if path.is_file():
        return is_torchscript(path)  # only OpenAI distributes TorchScript archives
    if not name.endswith('-quickgelu'):
        print_log(
            f"'{pretrained}' is not here, so its activation cannot be told: GELU it is for "
            f"'{name}'; if these are OpenAI's weights, write model='{name}-quickgelu'",
            logger='current',
            level=logging.WARNING,
        )
    return False


def narrow_architecture(
    model: str | Mapping[str, Any], pretrained: str | None, sizes: Sizes
) -> dict[str, Any]:
    """The explicit sizes of a narrow form, for the ``model`` argument of a tower.

    Args:
        model: The ``model`` argument of the tower that is narrowed.
        pretrained: Its ``pretrained``, which tells the activation.
        sizes: Sizes of the narrow form.
    """
    arch = find_architecture(model, pretrained)
    vision = dict(arch.vision_cfg, width=sizes.width, head_width=sizes.width // sizes.heads)
    for key in ('layers', 'image_size', 'patch_size'):
        if getattr(sizes, key):  # or as it is; sizes of a text tower alone have none of these
            vision[key] = getattr(sizes, key)
    if vision.get('attentional_pool'):
        vision['attn_pooler_heads'] = sizes.heads
    text = dict(arch.text_cfg, width=sizes.width, heads=sizes.heads, layers=sizes.text_layers)
    return dict(embed_dim=sizes.joint, vision_cfg=vision, text_cfg=text, quick_gelu=arch.quick_gelu)
