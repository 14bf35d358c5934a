"""Turns of a conversation -> ids of a prompt, in which a video has its place.

Letters: N conversations, J tokens of a prompt, S tokens of a video.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Message = dict[str, Any]
"""One turn, ``{'role': 'user' or 'assistant', 'content': [{'type': 'text', 'text': ...}]}``."""


def list_messages(questions: Sequence[str], answers: Sequence[str]) -> list[Message]:
    """The turns of a conversation about a video, in transformers' format; it is in the first one.

    There is one question more than answers, or as many.
    """
    messages: list[Message] = []
    for turn, question in enumerate(questions):
        video = [{'type': 'image'}] if turn == 0 else []
        text = {'type': 'text', 'text': question}
        messages.append({'role': 'user', 'content': [*video, text]})
        if turn < len(answers):
            reply = [{'type': 'text', 'text': answers[turn]}]
            messages.append({'role': 'assistant', 'content': reply})
    return messages


def tokenize(processor: Any, conversations: Sequence[Sequence[Message]], count: int) -> Tensor:
    """Conversations -> ids (N, J), padded on the left; the video's place takes ``count`` tokens.

    Raises:
        ValueError: The processor has no chat template.
    """
    if not getattr(processor, 'chat_template', None):
        raise ValueError('the engine has no chat template: add chat_template.jinja to its folder')
    tokenizer, image = processor.tokenizer, processor.image_token
    rows = []
    for messages in conversations:
        text = processor.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=False
        )
        text = text.replace(image, image * count)
        # A template may write the first token itself.
        starts = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
        rows.append(tokenizer(text, add_special_tokens=not starts)['input_ids'])
    longest, pad = max(map(len, rows)), find_pad(tokenizer)
    return torch.tensor([[pad] * (longest - len(row)) + row for row in rows])


def find_pad(tokenizer: Any) -> int:
    """The id that fills short rows: the padding token's, or the end-of-text token's."""
    pad = tokenizer.pad_token_id
    return int(tokenizer.eos_token_id if pad is None else pad)


def find_real(ids: Tensor, pad: int) -> Tensor:
    """Mask (N, J) of the tokens that are not padding on the left."""
    # A padding token within a text, which may be the end-of-text token, counts.
    return ((ids != pad).cumsum(dim=1) > 0).long()
