"""Settings of a generation, its seed, and its text as it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mmstan.chat.optional import import_transformers

DEFAULTS: dict[str, Any] = dict(do_sample=True, temperature=0.2, max_new_tokens=1024)
"""Generation settings, BT-Adapter's."""


def choose_generation(options: Mapping[str, Any]) -> tuple[dict[str, Any], int | None]:
    """Arguments of ``generate`` with our defaults, and the seed.

    ``temperature=0`` is greedy.
    """
    chosen = {**DEFAULTS, **options}
    seed = chosen.pop('seed', None)
    if not chosen['temperature']:
        chosen['do_sample'] = False
    if not chosen['do_sample']:
        del chosen['temperature']
    return chosen, seed


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Within, sampling starts from ``seed``; afterwards the generators are as before."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def stream_text(tokenizer: Any, generate: Callable[..., Any]) -> Iterator[str]:
    """Run ``generate(streamer=, stopping_criteria=)`` in a thread; yields text as it comes.

    An error in the thread is raised here. A caller that stops reading stops the thread.
    """
    transformers = import_transformers()
    streamer = transformers.TextIteratorStreamer(tokenizer, skip_special_tokens=True)
    stopped = threading.Event()
    errors: list[BaseException] = []

    def stop(ids: Tensor, *_: Any, **__: Any) -> Tensor:
        return torch.full((len(ids),), stopped.is_set(), device=ids.device)

    def run() -> None:
        try:
            generate(streamer=streamer, stopping_criteria=transformers.StoppingCriteriaList([stop]))
        except BaseException as error:  # handed over to the reader
            errors.append(error)
            streamer.end()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield from _strip_pieces(streamer)
    finally:
        stopped.set()
        thread.join()
    if errors:
        raise errors[0]


def _strip_pieces(pieces: Iterable[str]) -> Iterator[str]:
    """Pieces of a text without the blanks at its ends: joined they are ``text.strip()``."""
    held, started = '', False
    for piece in pieces:
        text = held + piece if started else piece.lstrip()
        started = started or bool(text)
        kept = text.rstrip()
        held = text[len(kept) :]
        if kept:
            yield kept
