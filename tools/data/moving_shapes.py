"""Render Moving Shapes, the bundled toy data, into data/moving_shapes/SIZE/TASK."""

import argparse

from mmstan.cli import one_line_errors
from mmstan.datasets.moving_shapes.render import SIZES, TASKS, generate


def main() -> None:
    """Read the command line and render the missing videos."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--size', choices=list(SIZES), default='small')
    parser.add_argument('--out', default='data/moving_shapes')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--tasks', nargs='+', choices=TASKS, default=TASKS)
    parser.add_argument('--workers', type=int, help='processes; default: one per core')
    args = parser.parse_args()
    root = generate(
        args.out, size=args.size, seed=args.seed, tasks=args.tasks, workers=args.workers
    )
    print(f'Moving Shapes: {root}')


if __name__ == '__main__':
    with one_line_errors():
        main()
