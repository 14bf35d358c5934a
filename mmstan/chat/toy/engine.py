"""A LLaVA of a few thousand parameters, loaded as any other: for the toy, tests and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mmstan.chat.optional import import_transformers

IMAGE_TOKEN = '<image>'
SPECIAL = ('<pad>', '<s>', '</s>', '<unk>', IMAGE_TOKEN)
# One line: blanks count. A turn of the user's, then `assistant :` and the answer.
TEMPLATE = (
    '{% for message in messages %}'
    "{{ 'user : ' if message.role == 'user' else 'assistant : ' }}"
    '{% for part in message.content %}'
    "{{ '" + IMAGE_TOKEN + " ' if part.type == 'image' else part.text }}"
    '{% endfor %}'
    "{{ ' ' if message.role == 'user' else ' </s> ' }}"
    '{% endfor %}'
    "{% if add_generation_prompt %}{{ 'assistant :' }}{% endif %}"
)


def build_engine(
    *,
    vision: Mapping[str, Any],
    words: Sequence[str],
    width: int = 64,
    heads: int = 4,
    layers: int = 2,
    positions: int = 256,
    feature_layer: int = -2,
    strategy: str = 'default',
    seed: int = 0,
) -> tuple[Any, Any]:
    """Make a LLaVA with random weights; returns the model and its processor.

    Args:
        vision: Arguments of ``CLIPVisionConfig``.
        words: Words of the tokenizer, which splits at blanks.
        width: H, of the language model, a Llama.
        heads: Its attention heads.
        layers: Its layers.
        positions: The tokens that prompt and answer may have.
        feature_layer: ``vision_feature_layer``.
        strategy: ``vision_feature_select_strategy``.
        seed: Of the random weights.
    """
    transformers = import_transformers()
    processor = make_processor(words, vision)
    text = transformers.LlamaConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        vocab_size=len(processor.tokenizer),
        max_position_embeddings=positions,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision),
        text_config=text,
        image_token_index=SPECIAL.index(IMAGE_TOKEN),
        image_seq_length=(vision['image_size'] // vision['patch_size']) ** 2,
        vision_feature_layer=feature_layer,
        vision_feature_select_strategy=strategy,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.LlavaForConditionalGeneration(config)
    return model, processor


def save_engine(folder: str | Path, model: Any, processor: Any) -> Path:
    """Save a LLaVA and its processor; returns the folder."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return Path(folder)


def make_processor(words: Sequence[str], vision: Mapping[str, Any]) -> Any:
    """A processor with a word-by-word tokenizer, for images of the tower's size.

    Args:
        words: The words that it knows, besides :data:`SPECIAL`.
        vision: Arguments of ``CLIPVisionConfig``.
    """
    transformers = import_transformers()
    from tokenizers import Tokenizer, models, pre_tokenizers

    table = {word: i for i, word in enumerate(dict.fromkeys([*SPECIAL, *words]))}
    splitter = Tokenizer(models.WordLevel(table, unk_token='<unk>'))
    splitter.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=splitter,
        pad_token='<pad>',
        bos_token='<s>',
        eos_token='</s>',
        unk_token='<unk>',
        additional_special_tokens=[IMAGE_TOKEN],
    )
    side = dict(height=vision['image_size'], width=vision['image_size'])
    images = transformers.CLIPImageProcessor(
        size=side,
        do_center_crop=False,
        resample=2,  # bilinear
    )
    return transformers.LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=vision['patch_size'],
        vision_feature_select_strategy='default',
        image_token=IMAGE_TOKEN,
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
