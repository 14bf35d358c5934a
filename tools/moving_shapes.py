"""The tables on Moving Shapes: ``python tools/moving_shapes.py [--seeds 0 1 2]``.

Trains and tests every system with every seed, one seed after the other, and prints medians. Runs
that are done are not done again; more seeds refine the table.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from quickstart import CONFIGS, train_and_test

from mmstan.datasets.moving_shapes import generate

OUT = Path('work_dirs/moving_shapes')
SYSTEMS = {
    'CLIP mean': 'clip_mean',
    'STAN': 'stan',
    '- without cross-frame modules': 'stan_no_cross_frame',
    '- posterior': 'stan_posterior',
    '- single level': 'stan_single_level',
}


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description='The tables on Moving Shapes')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--systems', nargs='+', default=list(SYSTEMS.values()), help='config stems')
    parser.add_argument('--report', action='store_true', help='run nothing, show what is finished')
    args = parser.parse_args()
    if not args.report:
        generate(size='small', tasks=['recognition'])
        for seed in args.seeds:
            for stem in args.systems:
                work_dir = OUT / f'{stem}_seed{seed}'
                train_and_test(CONFIGS / f'{stem}.py', work_dir, '--seed', str(seed))
    table = report(args.seeds)
    (OUT / 'recognition.md').write_text(table + '\n')
    print(f'\nMoving Shapes, recognition, top-1 in per cent\n{table}')


def report(seeds: Sequence[int]) -> str:
    """The table of the runs that are finished."""
    rows = [f'| | median | {" | ".join(f"seed {seed}" for seed in seeds)} |']
    rows.append('|---|' + '---|' * (len(seeds) + 1))
    for name, stem in SYSTEMS.items():
        files = [OUT / f'{stem}_seed{seed}' / 'result.json' for seed in seeds]
        found = [json.loads(f.read_text())['top-1'] if f.exists() else None for f in files]
        shares = [100 * share for share in found if share is not None]
        median = f'{statistics.median(shares):.1f}' if shares else '-'
        cells = ['-' if share is None else f'{100 * share:.1f}' for share in found]
        rows.append(f'| {name} | {median} | {" | ".join(cells)} |')
    return '\n'.join(rows)


if __name__ == '__main__':
    main()
