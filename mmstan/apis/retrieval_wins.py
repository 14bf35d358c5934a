"""Two retrieval models on one test set: captions that one of them answers and the other does not.

Letters: A captions.
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mmstan.apis.retrieval_pictures import match_captions
from mmstan.apis.test_set import TestSet
from mmstan.evaluation import text_to_video_ranks
from mmstan.models.features import VideoFeatures
from mmstan.visualization import Hit, Win, draw_wins

_FRAMES_SHOWN = 12
_MOST_MARKED = 2
# Words that are never left out: without them a sentence is another one.
STOP_WORDS = {
    'a', 'an', 'and', 'are', 'as', 'at', 'be', 'been', 'being', 'by', 'for', 'from', 'has', 'have',
    'he', 'her', 'his', 'in', 'into', 'is', 'it', 'its', 'of', 'off', 'on', 'or', 'out', 'over',
    'she', 'some', 'that', 'the', 'their', 'them', 'then', 'there', 'they', 'this', 'to', 'two',
    'up', 'was', 'were', 'which', 'while', 'who', 'with',
}  # fmt: skip


class Duel(NamedTuple):
    """Two models on the same captions."""

    first: TestSet
    second: TestSet
    places: Tensor
    """Place in ``second`` of each caption of ``first``, (A,)."""
    first_ranks: Tensor
    """Ranks of the captions' videos, (A,), in the order of ``first``."""
    second_ranks: Tensor
    names: tuple[str, str]


def compare_models(first: TestSet, second: TestSet, names: tuple[str, str]) -> Duel:
    """Rank every caption's video with both models.

    Args:
        first: The encoded test set.
        second: The same test set, encoded by another model.
        names: Names of the models.

    Raises:
        ValueError: The test sets have other captions or videos.
    """
    places = match_captions(second, first, option='--against')
    ranks = [
        text_to_video_ranks(x.scores(x.gallery.text), x.gallery.owners) for x in (first, second)
    ]
    return Duel(first, second, places, ranks[0], ranks[1][places], names)


def find_wins(duel: Duel) -> tuple[list[int], list[int]]:
    """Captions whose video only the first model, and only the second model, ranks first.

    The other model's worst rank comes first.
    """

    def wins(ours: Tensor, theirs: Tensor) -> list[int]:
        won = (ours <= 1) & (theirs > 1)
        order = theirs.argsort(descending=True, stable=True)
        return [int(caption) for caption in order if won[caption]]

    first, second = duel.first_ranks, duel.second_ranks
    return wins(first, second), wins(second, first)


def compute_sign_test(wins: int, losses: int) -> float:
    """Two-sided p of the exact sign test: the models are equally good.

    >>> compute_sign_test(5, 0), compute_sign_test(0, 0)
    (0.0625, 1.0)
    """
    n, fewest = wins + losses, min(wins, losses)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(fewest + 1)) / 2**n)


def format_counts(duel: Duel) -> str:
    """Write how many captions each model alone answers."""
    first, second = (len(found) for found in find_wins(duel))
    both = int(((duel.first_ranks <= 1) & (duel.second_ranks <= 1)).sum())
    return (
        f'{len(duel.first_ranks)} captions: rank 1 with both {both}, with {duel.names[0]} alone '
        f'{first} (N_10), with {duel.names[1]} alone {second} (N_01); sign test: p = '
        f'{compute_sign_test(first, second):.2g}'
    )


def show_wins(duel: Duel, captions: Sequence[int], marks: Sequence[str], path: Path) -> None:
    """Print and draw captions, each with the video that either model puts first.

    Args:
        duel: The models.
        captions: Numbers of captions of the first test set.
        marks: Words to draw in red; by default the words whose removal lowers the score most.
        path: The picture's path, ``.png``.

    Raises:
        ValueError: No caption has a word of ``marks``.
    """
    texts = [duel.first.caption(caption)[0] for caption in captions]
    for mark in marks:
        if not any(_strip(mark) in map(_strip, text.split()) for text in texts):
            raise ValueError(f'--mark {mark}: no such word in {"; ".join(texts[:3])!r}')
    wins = [_make_win(duel, caption, marks) for caption in captions]
    first, second = duel.names
    draw_wins(path, wins, title=f'above {first}, below {second}; chosen examples')


def _make_win(duel: Duel, caption: int, marks: Sequence[str]) -> Win:
    text, video = duel.first.caption(caption)
    words = text.split()
    wanted = {_strip(mark) for mark in marks}
    marked = {place for place, word in enumerate(words) if _strip(word) in wanted}
    why = 'red: marked by hand'
    if not marked:
        drops = measure_drops(duel.first, caption)
        marked = choose_words(drops)
        listed = ', '.join(f'{words[place]} {drops[place]:.4f}' for place in sorted(marked))
        why = f'red: without it the score of {duel.names[0]} falls most ({listed})'
        why = why if marked else 'no single word lowers the score'
    ranks = float(duel.first_ranks[caption]), float(duel.second_ranks[caption])
    hits = (
        _find_first(duel.first, caption, video, duel.names[0]),
        _find_first(
            duel.second,
            int(duel.places[caption]),
            int(duel.second.gallery.owners[duel.places[caption]]),
            duel.names[1],
        ),
    )
    note = f'true video: rank {ranks[0]:g} and {ranks[1]:g}; {why}'
    print(f'caption {caption}: {text}\n  {note}')
    for hit in hits:
        name = hit.name.replace('\n', ': ')
        print(f'  {name}  {hit.score:.4f}{"  ground truth" if hit.truth else ""}')
    return Win(words, marked, note, hits)


def _find_first(data: TestSet, caption: int, truth: int, name: str) -> Hit:
    """The video that a model puts first for a caption."""
    text = type(data.gallery.text)(*(x[caption : caption + 1] for x in data.gallery.text))
    scores = torch.cat([block for _, block in data.scores(text)])[0].cpu()  # (B,)
    best = int(scores.argmax())
    frames = data.frames(best, most=_FRAMES_SHOWN)
    label = f'{name}\n{data.names[best]}'
    return Hit(frames, label, 1, float(scores[best]), truth=best == truth)


def measure_drops(data: TestSet, caption: int) -> dict[int, float]:
    """Place of each word of a caption, stop words left out -> fall of the pair's score without it.

    The pair is the caption and its own video.
    """
    text, video = data.caption(caption)
    words = text.split()
    places = [place for place, word in enumerate(words) if _strip(word) not in STOP_WORDS]
    shorter = [' '.join(words[:place] + words[place + 1 :]) for place in places if len(words) > 1]
    if not shorter:
        return {}
    device = next(data.model.parameters()).device
    one = (None if x is None else x[video : video + 1].to(device) for x in data.gallery.video)
    with torch.no_grad():
        texts = data.model.encode_texts([text, *shorter])
        scores = data.model.similarity(texts, VideoFeatures(*one))[:, 0]  # type: ignore[arg-type]
    return dict(zip(places, (scores[0] - scores[1:]).tolist()))


def choose_words(drops: dict[int, float]) -> set[int]:
    """The word with the largest drop, and the second if it has half of that; drops above 0 alone.

    >>> choose_words({0: 0.1, 2: 0.3, 3: 0.2}), choose_words({0: 0.1, 2: 0.3}), choose_words({1: 0})
    ({2, 3}, {2}, set())
    """
    best = sorted(drops, key=lambda place: -drops[place])[:_MOST_MARKED]
    return {place for place in best if drops[place] > 0 and drops[place] >= drops[best[0]] / 2}


def _strip(word: str) -> str:
    """A word in small letters, without signs around it."""
    return word.strip(string.punctuation).lower()
