"""Draw scores over costs, as in the papers' first figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

_MARKERS = 'os^D'


@dataclass(frozen=True)
class TradeOff:
    """The systems of one panel.

    Attributes:
        title: Kind and tower, which all systems of the panel share.
        points: (system, GMACs of a view, score in per cent) each.
        score: Name of the score.
    """

    title: str
    points: Sequence[tuple[str, float, float]]
    score: str


def draw_trade_off(path: str | Path, panels: Sequence[TradeOff]) -> None:
    """Write a picture of scores over multiply-adds, the panels below each other.

    Args:
        path: The picture's path.
        panels: At least one panel, each with points.
    """
    figure = Figure(figsize=(9, 5 * len(panels)), layout='constrained')
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels):
        axes.set_title(panel.title)
        axes.set_xlabel("GMACs of a view, the config's own towers")
        axes.set_ylabel(f'{panel.score} on Moving Shapes, toy towers, %')
        axes.grid(alpha=0.3)
        # Ten colours times four markers tell up to 40 systems apart.
        best_first = sorted(panel.points, key=lambda point: -point[2])
        for i, (system, gmacs, score) in enumerate(best_first):
            look = dict(color=f'C{i % 10}', marker=_MARKERS[i // 10 % len(_MARKERS)])
            axes.plot(gmacs, score, linestyle='', label=f'{score:.1f}  {system}', **look)
        # Next to the panel: many systems cost about the same, and labels would overlap.
        axes.legend(loc='upper left', bbox_to_anchor=(1, 1), fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)
