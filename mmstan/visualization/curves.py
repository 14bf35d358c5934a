"""Curves of one or several runs, from the ``scalars.json`` that MMEngine writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

Curves = dict[str, list[tuple[float, float]]]
"""Name of a scalar -> its points (step, value)."""

_TIMES = ('time', 'data_time', 'memory', 'epoch', 'iter', 'step')
_COLUMNS = 2


def find_scalars(source: Path) -> Path:
    """The ``scalars.json`` of a run: a file, or the newest one below its work dir.

    Raises:
        FileNotFoundError: There is none.
    """
    if source.is_file():
        return source
    found = sorted(source.glob('**/scalars.json'), key=lambda path: path.stat().st_mtime)
    if not found:
        raise FileNotFoundError(f'{source}: no scalars.json is there; give the work dir of a run')
    return found[-1]


def read_curves(path: Path) -> Curves:
    """Read a ``scalars.json``: a JSON object a line.

    Losses are at their iteration. Scores of a validation have no iteration of their own in the
    file; they are at the iteration of the last line of training before them.

    Raises:
        ValueError: A line is no object, with the file and the line.
    """
    curves: Curves = {}
    now = 0.0
    for number, line in enumerate(path.read_text('utf-8').splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            entry = None
        if not isinstance(entry, dict):
            raise ValueError(
                f'{path}, line {number}: a JSON object was expected, as MMEngine writes '
                'scalars.json; the line may be cut, remove it'
            )
        now = float(entry['iter']) if _is_number(entry.get('iter')) else now
        for key, value in entry.items():
            if key not in _TIMES and _is_number(value):
                curves.setdefault(key, []).append((now, float(value)))
    return curves


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def choose_scalars(runs: Mapping[str, Curves], names: Sequence[str] = ()) -> list[str]:
    """Names of the scalars to draw: ``names``, or the loss, the scores and the learning rate.

    Raises:
        ValueError: No run has a scalar of a name.
    """
    known = list(dict.fromkeys(key for curves in runs.values() for key in curves))
    for name in names:
        if name not in known:
            raise ValueError(f"no run has '{name}'; there are: {', '.join(known) or 'none'}")
    if names:
        return list(names)
    return [key for key in known if key in ('loss', 'lr') or '/' in key]


def draw_curves(path: str | Path, runs: Mapping[str, Curves], names: Sequence[str]) -> None:
    """Write a picture with a panel for each scalar, and a curve for each run in it.

    Args:
        path: The picture's path.
        runs: Name of a run -> :func:`read_curves`.
        names: Names of the scalars.
    """
    rows = max(1, -(-len(names) // _COLUMNS))
    figure = Figure(figsize=(5.5 * _COLUMNS, 3.2 * rows), layout='constrained')
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
    for axes, name in zip(panels, names):
        for number, (run, curves) in enumerate(runs.items()):
            points = curves.get(name, [])
            marker = 'o' if len(points) < 20 else ''
            axes.plot(
                *zip(*points) if points else ([], []),
                f'{marker}-',
                color=f'C{number}',
                label=run,
                markersize=3,
            )
        axes.set_title(name, fontsize=10)
        axes.set_xlabel('iteration', fontsize=8)
        axes.grid(alpha=0.3)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    if names:
        panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
