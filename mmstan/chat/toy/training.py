"""Teach a tiny dialogue model to answer about encoded videos, and count its right answers.

Letters: N videos, S tokens of a video, C width of the tower, J tokens of prompt and answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmstan.chat import VideoChat
from mmstan.chat.prompts import find_pad, find_real, list_messages, tokenize
from mmstan.chat.toy.questions import QUESTIONS, ToyVideo, find_answers

BATCH, RATE = 96, 3e-3
_IGNORED = -100  # labels of the prompt


def train(
    chat: VideoChat,
    tokens: Tensor,
    videos: Sequence[ToyVideo],
    *,
    questions: Sequence[str],
    steps: int,
    seed: int,
) -> float:
    """Train projector and language model on encoded videos; returns the mean loss of the end.

    The tower and the branch are not part of it: the tokens are given.

    Args:
        chat: The dialogue model.
        tokens: Tokens of the videos (N, S, C).
        videos: The videos, with their answers.
        questions: Names of the questions; each step draws one a video.
        steps: Number of steps.
        seed: Of the order of videos and questions.
    """
    model = chat.engine.model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share(step, steps))
    rows = {name: _make_rows(chat, name, videos, tokens.shape[1]) for name in questions}
    order = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        chosen = torch.randint(len(videos), (BATCH,), generator=order)
        which = torch.randint(len(questions), (1,), generator=order)
        ids, labels = (part[chosen] for part in rows[questions[int(which)]])
        embeddings = chat.embed(ids, tokens[chosen])
        mask = find_real(ids, find_pad(chat.engine.processor.tokenizer))
        loss = model(inputs_embeds=embeddings, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    model.eval()
    last = losses[-20:]
    return sum(last) / len(last)


def score(
    chat: VideoChat, tokens: Tensor, videos: Sequence[ToyVideo], questions: Sequence[str]
) -> dict[str, float]:
    """Share of right answers to each question, greedy, in per cent."""
    return {
        name: 100
        * sum(
            said == right
            for said, right in zip(answer(chat, tokens, name), find_answers(videos, name))
        )
        / len(videos)
        for name in questions
    }


def answer(chat: VideoChat, tokens: Tensor, question: str, *, batch: int = 100) -> list[str]:
    """The answers of encoded videos (N, S, C) to a question of :data:`QUESTIONS`."""
    answers: list[str] = []
    for part in tokens.split(batch):
        asked = [QUESTIONS[question]] * len(part)
        answers += chat.answer(part, asked, temperature=0, max_new_tokens=3)
    return answers


def _share(step: int, steps: int) -> float:
    """Share of the rate: 5 % of the steps rise, the others fall along a cosine."""
    rise = max(1, steps // 20)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _make_rows(
    chat: VideoChat, question: str, videos: Sequence[ToyVideo], count: int
) -> tuple[Tensor, Tensor]:
    """Ids and labels (N, J) of a question's prompt and the videos' answers; prompts are ignored."""
    processor = chat.engine.processor
    prompt = tokenize(processor, [list_messages([QUESTIONS[question]], [])], count)[0]
    words = [f'{word} {processor.tokenizer.eos_token}' for word in find_answers(videos, question)]
    said = torch.tensor(processor.tokenizer(words, add_special_tokens=False)['input_ids'])
    ids = torch.cat([prompt.expand(len(videos), -1), said], dim=1)
    labels = ids.clone()
    labels[:, : len(prompt)] = _IGNORED
    return ids, labels
