"""Losses and scores of runs in one picture: ``python tools/curves.py WORK_DIR [WORK_DIR ...]``.

A panel for each scalar, a curve for each run. By default the loss, the learning rate and the scores
of validations; ``--scalars`` names others, of those that ``scalars.json`` has.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.cli import one_line_errors
from mmstan.visualization import choose_scalars, draw_curves, find_scalars, read_curves


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'runs', nargs='+', type=Path, help='work dirs (their newest run), or files scalars.json'
    )
    parser.add_argument('--names', nargs='+', help='names of the runs; default: their paths')
    parser.add_argument('--scalars', nargs='+', default=[], help='scalars to draw')
    parser.add_argument('--out', type=Path, default=Path('curves.png'), help='the picture')
    args = parser.parse_args()
    if args.names and len(args.names) != len(args.runs):
        parser.error(f'--names: {len(args.names)} names for {len(args.runs)} runs')
    args.names = args.names or [str(path) for path in args.runs]
    if len(set(args.names)) < len(args.names):
        parser.error(f'{" ".join(args.names)}: each run needs a name of its own; give --names')
    return args


def main() -> None:
    """Read and draw."""
    args = parse_args()
    with one_line_errors():
        runs = {name: read_curves(find_scalars(path)) for name, path in zip(args.names, args.runs)}
        scalars = choose_scalars(runs, args.scalars)
        if not scalars:
            raise ValueError(
                f'{", ".join(args.names)}: no losses and no scores, there is nothing to draw'
            )
        args.out.parent.mkdir(parents=True, exist_ok=True)
        draw_curves(args.out, runs, scalars)
        print(f'{args.out}: {", ".join(scalars)}')


if __name__ == '__main__':
    main()
