"""Make the tables on Moving Shapes: ``python tools/benchmarks/moving_shapes.py [TASK ...]``.

Trains and tests every system with every seed, one seed after the other, and prints medians.
Finished runs are not repeated; more seeds refine the tables.

* ``recognition``: eight motions, with and without each part of STAN.
* ``misaligned``: a caption describes a third of its video's frames, and some of its words describe
  none. STAN first learns on the aligned retrieval data with mean pooling; from that checkpoint
  every interaction is trained on the misaligned data.
"""

from __future__ import annotations

import argparse

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.shapes_tables import (
    MISALIGNED,
    OUT,
    RECOGNITION,
    report_misaligned,
    report_recognition,
    run_misaligned,
    run_recognition,
)
from mmstan.cli import one_line_errors

SYSTEMS = {'recognition': RECOGNITION, 'misaligned': MISALIGNED}
"""Task -> row of its table -> its config's file stem, for misaligned without that word."""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='The tables on Moving Shapes')
    parser.add_argument(
        'tasks', nargs='*', choices=[[], *SYSTEMS], metavar='TASK', help=', '.join(SYSTEMS)
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--systems', nargs='+', help='systems to run; default: all of the tasks')
    parser.add_argument('--report', action='store_true', help='run nothing, show the finished runs')
    args = parser.parse_args()
    args.tasks = args.tasks or list(SYSTEMS)
    if args.report and args.systems:
        parser.error('--report shows all finished runs: without --systems')
    for task in args.tasks:
        known = list(SYSTEMS[task].values())
        for system in args.systems or ():
            if system not in known:
                parser.error(f'--systems {system} is none of {task}: name some of {known}')
    return args


def main() -> None:
    """Run the missing trainings and print the tables."""
    args = parse_args()
    for task in args.tasks:
        if not args.report:
            for seed in args.seeds:
                run = run_recognition if task == 'recognition' else run_misaligned
                run(seed, args.systems)
        OUT.mkdir(parents=True, exist_ok=True)
        table = (
            report_recognition(args.seeds)
            if task == 'recognition'
            else report_misaligned(args.seeds)
        )
        (OUT / f'{task}.md').write_text(table + '\n')
        print(f'\nMoving Shapes, {task}\n{table}')


if __name__ == '__main__':
    with one_line_errors():
        main()
