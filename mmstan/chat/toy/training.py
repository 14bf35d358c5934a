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
        questions: Names of the questions; each step draws one for every video.
        steps: Number of steps.
        seed: Of the order of videos and questions.
    """
    model = chat.engine.model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share(step, steps))
    ids_of, labels_of = _make_rows(chat, questions, videos, tokens.shape[1])  # (Q, N, J)
    order = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        chosen = torch.randint(len(videos), (BATCH,), generator=order)
        asked = torch.randint(len(questions), (BATCH,), generator=order)
        ids, labels = ids_of[asked, chosen], labels_of[asked, chosen]
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
    chat: VideoChat, questions: Sequence[str], videos: Sequence[ToyVideo], count: int
) -> tuple[Tensor, Tensor]:
    """Ids and labels (Q, N, J) of each question's prompt and each video's answer to it.

    Prompts are padded on the left, and ignored in the labels.
    """
    processor = chat.engine.processor
    asked = [list_messages([QUESTIONS[name]], []) for name in questions]
    prompts = tokenize(processor, asked, count)  # (Q, J)
    rows = []
    for name, prompt in zip(questions, prompts):
        words = [f'{word} {processor.tokenizer.eos_token}' for word in find_answers(videos, name)]
        said = torch.tensor(processor.tokenizer(words, add_special_tokens=False)['input_ids'])
        rows.append(torch.cat([prompt.expand(len(videos), -1), said], dim=1))
    ids = torch.stack(rows)
    labels = ids.clone()
    labels[..., : prompts.shape[1]] = _IGNORED
    return ids, labels
