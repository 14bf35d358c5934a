"""The tables on Moving Shapes: ``python tools/moving_shapes.py [TASK ...] [--seeds 0 1 2]``.

Trains and tests every system with every seed, one seed after the other, and prints medians. Runs
that are done are not done again; more seeds refine the tables.

* ``recognition``: eight motions, what the parts of STAN are for.
* ``misaligned``: a caption is about a third of its video's frames, and a part of it about none.
  STAN learns on the aligned retrieval data with mean pooling; from there every interaction goes on
  with the misaligned.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from mmstan.benchmark.runs import last_checkpoint, retrieval_figures, train_and_test
from mmstan.config.paths import find_shipped
from mmstan.datasets.moving_shapes import generate
from mmstan.wording import markdown_table

CONFIGS = find_shipped('configs') / 'quickstart'
OUT = Path('work_dirs/moving_shapes')
RECOGNITION = {
    'CLIP mean': 'clip_mean',
    'STAN': 'stan',
    '- without cross-frame modules': 'stan_no_cross_frame',
    '- posterior': 'stan_posterior',
    '- single level': 'stan_single_level',
}
ALIGNED = 'retrieval_stan'
MISALIGNED = {
    'mean of the frames': 'stan',
    'token-wise': 'token_wise',
    'weighted token-wise': 'weighted',
    'Mug': 'mug',
}


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description='The tables on Moving Shapes')
    tasks = ('recognition', 'misaligned')
    parser.add_argument('tasks', nargs='*', choices=[[], *tasks], metavar='TASK', help=str(tasks))
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--systems', nargs='+', help='only these of the stems of the configs')
    parser.add_argument('--report', action='store_true', help='run nothing, show what is finished')
    args = parser.parse_args()
    for task in args.tasks or tasks:
        if not args.report:
            for seed in args.seeds:
                (recognition if task == 'recognition' else misaligned)(seed, args.systems)
        OUT.mkdir(parents=True, exist_ok=True)
        table = (
            report_recognition(args.seeds)
            if task == 'recognition'
            else report_misaligned(args.seeds)
        )
        (OUT / f'{task}.md').write_text(table + '\n')
        print(f'\nMoving Shapes, {task}\n{table}')


def recognition(seed: int, systems: Sequence[str] | None) -> None:
    """The runs of one seed."""
    generate(size='small', tasks=['recognition'])
    for stem in systems or RECOGNITION.values():
        train_and_test(CONFIGS / f'{stem}.py', OUT / f'{stem}_seed{seed}', '--seed', str(seed))


def misaligned(seed: int, systems: Sequence[str] | None) -> None:
    """The runs of one seed: on the aligned data, and from there on the misaligned."""
    generate(size='small', tasks=['retrieval', 'misaligned'])
    options = ['--seed', str(seed)]
    aligned = OUT / f'{ALIGNED}_seed{seed}'
    train_and_test(CONFIGS / f'{ALIGNED}.py', aligned, *options, figures=retrieval_figures)
    options += ['--cfg-options', f'load_from={last_checkpoint(aligned)}']
    for stem in systems or MISALIGNED.values():
        config = CONFIGS / f'misaligned_{stem}.py'
        work_dir = OUT / f'misaligned_{stem}_seed{seed}'
        train_and_test(config, work_dir, *options, figures=retrieval_figures)


def finished(stem: str, seeds: Sequence[int], key: str) -> list[float | None]:
    """A figure of the runs of a config, None where there is none yet."""
    files = [OUT / f'{stem}_seed{seed}' / 'result.json' for seed in seeds]
    return [json.loads(f.read_text())[key] if f.exists() else None for f in files]


def report_recognition(seeds: Sequence[int]) -> str:
    """Top-1 in per cent of the runs that are finished."""
    rows = []
    for name, stem in RECOGNITION.items():
        shares = [x and 100 * x for x in finished(stem, seeds, 'top-1')]
        rows.append([name, median(shares), *map(cell, shares)])
    return markdown_table(['', 'median', *(f'seed {seed}' for seed in seeds)], rows)


def report_misaligned(seeds: Sequence[int]) -> str:
    """Text-to-video retrieval of the runs that are finished."""
    heads = ['R@1', 'R@5', 'MdR', *(f'R@1 seed {seed}' for seed in seeds)]
    before = {key: finished(ALIGNED, seeds, f't2v/{key}') for key in ('R1', 'R5', 'MdR')}
    cells = [*map(median, before.values()), *map(cell, before['R1'])]
    rows = [['the start, on the aligned data', *cells]]
    for name, stem in MISALIGNED.items():
        found = {key: finished(f'misaligned_{stem}', seeds, f't2v/{key}') for key in before}
        cells = [*map(median, found.values()), *map(cell, found['R1'])]
        rows.append([name, *cells])
    return markdown_table(['', *heads], rows)


def cell(figure: float | None) -> str:
    """A figure, or that there is none yet."""
    return '-' if figure is None else f'{figure:.1f}'


def median(figures: Sequence[float | None]) -> str:
    """The median of those that are there."""
    there = [x for x in figures if x is not None]
    return cell(statistics.median(there) if there else None)


if __name__ == '__main__':
    main()
