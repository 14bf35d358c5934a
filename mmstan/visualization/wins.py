"""Draw captions whose video one retrieval model finds and another does not."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence, Set
from pathlib import Path
from typing import NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea, VPacker

from mmstan.visualization.retrieval import Hit, draw_hit

_MARK, _WORD, _LINE = '#cf222e', '#24292f', 100  # characters of a line of a caption


class Win(NamedTuple):
    """A caption, and the video that each of two models puts first."""

    words: Sequence[str]
    marked: Set[int]
    """Places of the words that are drawn in red."""
    note: str
    """Says how the words were chosen, and the ranks of the true video."""
    hits: tuple[Hit, Hit]


def draw_wins(path: str | Path, wins: Sequence[Win], *, title: str) -> None:
    """Write a picture of captions, each above the two videos (Mug-STAN Fig. 7 and 8).

    Args:
        path: The picture's path, ``.png``.
        wins: At least one.
        title: Above the picture; it names the models.
    """
    figure = Figure(figsize=(11, 0.5 + 2.6 * len(wins)), layout='constrained')
    figure.suptitle(title, fontsize=10, parse_math=False)
    rows = figure.subplots(3 * len(wins), height_ratios=[0.5, 1, 1] * len(wins))
    for place, win in enumerate(wins):
        caption, *films = rows[3 * place : 3 * place + 3]
        draw_caption(caption, win)
        for axes, hit in zip(films, win.hits):
            draw_hit(axes, hit)
    figure.savefig(path, dpi=110, bbox_inches='tight')


def draw_caption(axes: Axes, win: Win) -> None:
    """Draw a caption in lines, the marked words in red, and below it the note."""
    axes.axis('off')
    lines: list[Artist] = []
    place = 0
    # Broken at spaces alone, so that the words of the lines are those of the caption.
    text = ' '.join(win.words)
    for line in textwrap.wrap(text, _LINE, break_long_words=False, break_on_hyphens=False):
        words: list[Artist] = []
        for word in line.split(' '):
            color = _MARK if place in win.marked else _WORD
            words.append(TextArea(word, textprops=dict(color=color, size=10, parse_math=False)))
            place += 1
        lines.append(HPacker(children=words, sep=4, pad=0))
    lines.append(TextArea(win.note, textprops=dict(color='#57606a', size=8, parse_math=False)))
    box = VPacker(children=lines, sep=2, pad=0, align='center')
    axes.add_artist(AnchoredOffsetbox('center', child=box, frameon=False, pad=0))
