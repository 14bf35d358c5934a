"""Narrated videos: captions with times, and the part of the video that goes with one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Caption(NamedTuple):
    """A caption and its seconds."""

    start: float
    end: float
    text: str


def clean_narration(entry: Any) -> tuple[list[Caption], int]:
    """Take the usable captions out of ``{start: [s], end: [s], text: [str]}``, in its order.

    A caption is left out if one of its three values is missing (lists of unequal length), if a time
    is no finite number of 0 or more, if it ends before it starts, or if it has no text.

    Returns:
        The captions, and the number of the ones left out.

    >>> clean_narration(dict(start=[0, 5], end=[2.5, 4], text=['a', 'b']))
    ([Caption(start=0.0, end=2.5, text='a')], 1)
    """
    lists: list[Any] = []
    if isinstance(entry, Mapping):
        lists = [entry.get(key) for key in Caption._fields]
    if not lists or not all(isinstance(each, list) for each in lists):
        return [], 1
    found = [_make_caption(*values) for values in zip(*lists)]
    captions = [caption for caption in found if caption is not None]
    return captions, max(map(len, lists)) - len(captions)


def _make_caption(start: Any, end: Any, text: Any) -> Caption | None:
    try:
        first, last = float(start), float(end)
    except (TypeError, ValueError):
        return None
    right = math.isfinite(first) and math.isfinite(last) and 0 <= first <= last
    if not right or not isinstance(text, str) or not text.strip():
        return None
    return Caption(first, last, text.strip())


def widen_caption(captions: list[Caption], index: int, min_seconds: float) -> Caption:
    """Widen the time of a caption to ``min_seconds`` around its middle (MIL-NCE's rule).

    At the beginning of the video it is widened to the right alone.

    >>> widen_caption([Caption(10.0, 12.0, 'a'), Caption(0.5, 1.5, 'b')], 0, 4.0)
    Caption(start=9.0, end=13.0, text='a')
    """
    start, end, text = captions[index]
    gap = min_seconds - (end - start)
    if gap <= 0:
        return captions[index]
    start = max(0.0, start - gap / 2)
    return Caption(start, start + min_seconds, text)


def merge_captions(
    captions: list[Caption], index: int, min_seconds: float, min_words: int = 0
) -> Caption:
    """Join a caption with its neighbours, until they last long enough and have enough words.

    Each time the neighbour is taken in after which the stretch is shorter, and the earlier one if
    both give the same (HowTo100M's rule). Texts are joined by spaces.

    >>> captions = [Caption(0.0, 3.0, 'a'), Caption(3.0, 4.0, 'b'), Caption(4.0, 6.0, 'c')]
    >>> merge_captions(captions, 1, min_seconds=3.0)
    Caption(start=3.0, end=6.0, text='b c')
    """
    first = last = index

    def stretch(first: int, last: int) -> float:
        return captions[last].end - captions[first].start

    def is_enough() -> bool:
        words = sum(len(caption.text.split()) for caption in captions[first : last + 1])
        return stretch(first, last) >= min_seconds and words >= min_words

    while not is_enough() and last - first + 1 < len(captions):
        before = stretch(first - 1, last) if first else math.inf
        after = stretch(first, last + 1) if last + 1 < len(captions) else math.inf
        if before <= after:
            first -= 1
        else:
            last += 1
    text = ' '.join(caption.text for caption in captions[first : last + 1])
    return Caption(captions[first].start, captions[last].end, text)
