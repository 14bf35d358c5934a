"""What a system is worth against what it costs, as in the papers' first figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

_MARKERS = 'os^D'


@dataclass(frozen=True)
class TradeOff:
    """One panel.

    Attributes:
        title: What the systems have in common.
        points: (system, GMACs of a view, score in per cent) each.
        score: Name of the score.
    """

    title: str
    points: Sequence[tuple[str, float, float]]
    score: str


def draw_trade_off(path: str | Path, panels: Sequence[TradeOff]) -> None:
    """Draw scores over multiply-adds, a panel each.

    Args:
        path: Where the picture goes.
        panels: At least one, each with points.
    """
    figure = Figure(figsize=(9, 5 * len(panels)), layout='constrained')
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels):
        axes.set_title(panel.title)
        axes.set_xlabel("GMACs of a view, the config's own towers")
        axes.set_ylabel(f'{panel.score} on Moving Shapes, toy towers, %')
        axes.grid(alpha=0.3)
        best_first = sorted(panel.points, key=lambda point: -point[2])
        for i, (system, gmacs, score) in enumerate(best_first):
            look = dict(color=f'C{i % 10}', marker=_MARKERS[i // 10 % len(_MARKERS)])
            axes.plot(gmacs, score, linestyle='', label=f'{score:.1f}  {system}', **look)
        # Beside the panel: many systems cost about the same, and labels would cover one another.
        axes.legend(loc='upper left', bbox_to_anchor=(1, 1), fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)
