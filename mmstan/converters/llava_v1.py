"""LLaVA v1's own format -> a folder that a stock ``LlavaForConditionalGeneration`` loads.

LLaVA v1 has one linear layer between tower and language model, and transformers' LLaVA two with an
activation between them. The second one is the identity here, and the activation none: the result is
equal to the bit in float32, bfloat16 and float16.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmstan.compat.closed import read_file
from mmstan.compat.misfits import find_problems, list_problems
from mmstan.compat.state_dicts import find_state_dict
from mmstan.converters.hf_clip import map_layer
from mmstan.converters.key_map import Entry, to_ours

CLIP = 'openai/clip-vit-large-patch14'
PATCH, START, END = '<im_patch>', '<im_start>', '<im_end>'
# Vicuna v1.1's turns, with LLaVA's tokens around the picture.
_SYSTEM = (
    'A chat between a curious user and an artificial intelligence assistant. The assistant gives '
    "helpful, detailed, and polite answers to the user's questions. "
)
TEMPLATE = (
    '{{ "' + _SYSTEM + '" }}'
    '{% for message in messages %}'
    "{{ 'USER: ' if message.role == 'user' else 'ASSISTANT: ' }}"
    '{% for part in message.content %}'
    "{{ '" + START + PATCH + END + "\\n' if part.type == 'image' else part.text }}"
    '{% endfor %}'
    "{{ ' ' if message.role == 'user' else '</s>' }}"
    '{% endfor %}'
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
_ATTENTION = [
    Entry(f'model.layers.{{i}}.self_attn.{part}_proj.weight', f'{{i}}.self_attn.{part}_proj.weight')
    for part in 'qkvo'
]
_LAYER = [
    *_ATTENTION,
    *(
        Entry(f'model.layers.{{i}}.mlp.{part}_proj.weight', f'{{i}}.mlp.{part}_proj.weight')
        for part in ('gate', 'up', 'down')
    ),
    *(
        Entry(f'model.layers.{{i}}.{norm}.weight', f'{{i}}.{norm}.weight')
        for norm in ('input_layernorm', 'post_attention_layernorm')
    ),
]
_LANGUAGE = 'model.language_model.'
ENTRIES = [
    Entry('model.embed_tokens.weight', _LANGUAGE + 'embed_tokens.weight'),
    *(Entry(entry.theirs, f'{_LANGUAGE}layers.{entry.ours}') for entry in _LAYER),
    Entry('model.norm.weight', _LANGUAGE + 'norm.weight'),
    Entry('lm_head.weight', 'lm_head.weight'),
    *map_layer('model.mm_projector', 'model.multi_modal_projector.linear_1'),
]
"""LLaVA v1's names, and those of a ``LlavaForConditionalGeneration``."""


def convert_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of LLaVA v1 -> of a ``LlavaForConditionalGeneration`` without its tower.

    Rotary frequencies, which are a formula, are dropped.

    Raises:
        ValueError: Names every tensor that is missing or left over.
    """
    kept = {name: x for name, x in state.items() if not name.endswith('rotary_emb.inv_freq')}
    ours = to_ours(kept, ENTRIES)
    weight = ours['model.multi_modal_projector.linear_1.weight']
    width = weight.shape[0]
    second = 'model.multi_modal_projector.linear_2.'
    eye = torch.eye(width, dtype=weight.dtype)
    return {**ours, second + 'weight': eye, second + 'bias': torch.zeros_like(eye[0])}


def convert_folder(source: Path, target: Path, *, vision: str | None = None) -> int:
    """Convert a folder in LLaVA v1's format; returns the number of its tensors.

    Args:
        source: Folder with ``config.json``, weights and a tokenizer.
        target: Folder to write; it is made.
        vision: CLIP whose vision weights are taken, since they are not in the file: a name on the
            hub, or a folder; by default the config's ``mm_vision_tower``.

    Raises:
        ImportError: transformers is missing.
        ValueError: The folder is of another kind, or a tensor is missing or left over.
        OSError: Something is not here.
    """
    try:
        import transformers
    except ImportError as error:
        raise ImportError('llava_v1 needs transformers: pip install "mmstan[chat]"') from error
    settings = _read_settings(source)
    vision = vision or settings.get('mm_vision_tower') or CLIP
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, local_files_only=True)
    ids = _find_ids(tokenizer, source)
    state = convert_state(_read_weights(source))
    tower = _read_tower(transformers, vision)
    config = transformers.LlavaConfig(
        vision_config=tower.config,
        text_config=_choose_text_config(transformers, settings),
        image_token_index=ids[PATCH],
        image_seq_length=(tower.config.image_size // tower.config.patch_size) ** 2,
        projector_hidden_act='linear',
        vision_feature_layer=int(settings.get('mm_vision_select_layer', -2)),
        vision_feature_select_strategy='default',
    )
    dtype = state['lm_head.weight'].dtype
    with torch.device('meta'):
        model = transformers.LlavaForConditionalGeneration(config)
    visual = {f'model.vision_tower.{k}': v.to(dtype) for k, v in tower.state_dict().items()}
    _load(model, {**state, **visual}, source)
    model.save_pretrained(target)
    transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessor.from_pretrained(vision),
        tokenizer=tokenizer,
        patch_size=tower.config.patch_size,
        vision_feature_select_strategy='default',
        image_token=PATCH,
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(target)
    return len(state)


def _read_settings(source: Path) -> dict[str, Any]:
    """The config of a LLaVA v1, as it is in the file."""
    path = source / 'config.json'
    if not path.is_file():
        raise FileNotFoundError(f'{path} is not here: give the folder of a LLaVA v1')
    settings = dict(json.loads(path.read_text('utf-8')))
    if 'mm_vision_tower' not in settings and 'mm_hidden_size' not in settings:
        raise ValueError(
            f'{path} is no config of LLaVA v1: it has no mm_vision_tower, but model_type='
            f"{settings.get('model_type')!r}; a folder in transformers' format needs no conversion"
        )
    feature = settings.get('mm_vision_select_feature', 'patch')
    if feature != 'patch':
        raise ValueError(f"{path}: mm_vision_select_feature='{feature}' is not taken, 'patch' is")
    return settings


def _read_tower(transformers: Any, vision: str) -> Any:
    """The CLIP tower of a name or folder."""
    try:
        return transformers.CLIPVisionModel.from_pretrained(vision)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise OSError(
            f"vision='{vision}': {reason}; give --vision with a CLIP that is here"
        ) from error


def _choose_text_config(transformers: Any, settings: Mapping[str, Any]) -> Any:
    """The language model's config: LLaVA v1 keeps its own settings among a Llama's."""
    own = ('mm_', 'tune_mm', 'use_mm', 'freeze_mm', 'sep_image', 'architectures', 'model_type')
    kept = {name: value for name, value in settings.items() if not name.startswith(own)}
    return transformers.LlamaConfig.from_dict(kept)


def _find_ids(tokenizer: Any, source: Path) -> dict[str, int]:
    """Ids of the tokens that LLaVA added to the tokenizer."""
    table = tokenizer.get_vocab()
    missing = [name for name in (PATCH, START, END) if name not in table]
    if missing:
        raise ValueError(
            f"{source}: the tokenizer has no {', '.join(missing)}, LLaVA v1's own tokens; take the "
            'tokenizer that was saved with the model'
        )
    return {name: table[name] for name in (PATCH, START, END)}


def _read_weights(source: Path) -> dict[str, Tensor]:
    """All tensors of a folder's files; code in a file is never run."""
    files = sorted(source.glob('*.safetensors')) or sorted(source.glob('pytorch_model*.bin'))
    if not files:
        raise FileNotFoundError(f'{source} has no *.safetensors and no pytorch_model*.bin')
    state: dict[str, Tensor] = {}
    for path in files:
        state |= find_state_dict(read_file(path), str(path))
    return state


def _load(model: Any, state: Mapping[str, Tensor], source: Path) -> None:
    """Give a model on the meta device its tensors, all of them."""
    problems = find_problems(model, model.state_dict(), state)
    if problems:
        raise ValueError(f'{source} does not fit its config.json: {list_problems(problems)}')
    model.load_state_dict(state, assign=True)
