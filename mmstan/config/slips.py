"""Suggestions for misspelled words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def count_slips(a: str, b: str) -> int:
    """Count letters put in, left out, replaced or swapped with a neighbour, from ``a`` to ``b``.

    >>> count_slips('optim_wraper', 'optim_wrapper'), count_slips('modle', 'model')
    (1, 1)
    """
    # Damerau's distance, a row a letter of `a`: row[j] is the distance to the first j letters of b.
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        row, above, before_above = [i], row, before
        for j, y in enumerate(b, start=1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (x != y)))
            if i > 1 and j > 1 and (x, a[i - 2]) == (b[j - 2], y):
                row[j] = min(row[j], before_above[j - 2] + 1)
        before = above
    return row[-1]


def find_slip(word: str, known: Iterable[str]) -> str | None:
    """Find the known word that is one slip away from ``word`` (two in long words), or None.

    Words that differ in their numbers alone are two names.

    >>> find_slip('train_dataloder', ['train_dataloader']), find_slip('split2', ['split1'])
    ('train_dataloader', None)
    """
    most = 2 if len(word) >= 8 else 1
    letters = re.sub(r'\d', '', word)
    near = [other for other in known if letters != re.sub(r'\d', '', other)]
    found = min(near, key=lambda other: count_slips(word, other), default=None)
    return found if found is not None and count_slips(word, found) <= most else None


def suggest(word: str, known: Iterable[str], *, otherwise: str = '') -> str:
    """Write the end of a message about an unknown ``word``: the likely known word, or all."""
    known = sorted(known)
    slip = find_slip(word, known)
    near = [slip] if slip else difflib.get_close_matches(word, known, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f'; it has {", ".join(known) or "none"}{otherwise}'
