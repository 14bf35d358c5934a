"""What a system is worth against what it costs, as in the papers' first figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure


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


def trade_off_picture(path: str | Path, panels: Sequence[TradeOff]) -> None:
    """Draw scores over multiply-adds, a panel each.

    Args:
        path: Where the picture goes.
        panels: At least one, each with points.
    """
    figure = Figure(figsize=(7.5, 5.5 * len(panels)), layout='constrained')
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels):
        axes.set_title(panel.title)
        axes.set_xlabel('GMACs of a view')
        axes.set_ylabel(f'{panel.score} on Moving Shapes, %')
        axes.grid(alpha=0.3)
        for i, (system, gmacs, score) in enumerate(sorted(panel.points, key=lambda p: p[2])):
            axes.plot(gmacs, score, 'o', color='#0969da')
            axes.annotate(
                system,
                (gmacs, score),
                xytext=(5, 3 if i % 2 else -8),
                textcoords='offset points',
                fontsize=7,
            )
        axes.margins(x=0.25, y=0.1)
    figure.savefig(path, dpi=120)
