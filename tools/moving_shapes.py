"""The tables on Moving Shapes: ``python tools/moving_shapes.py [--seeds 0 1 2]``.

Trains and tests every system with every seed, one seed after the other, and prints medians. Runs
that are done are not done again; more seeds refine the table.
"""

from __future__ import annotations

import argparse
import statistics
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
    seeds = parser.parse_args().seeds
    generate(size='small', tasks=['recognition'])
    results: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    for seed in seeds:
        for name, stem in SYSTEMS.items():
            figures = train_and_test(
                CONFIGS / f'{stem}.py', OUT / f'{stem}_seed{seed}', '--seed', str(seed)
            )
            results[name].append(100 * figures['top-1'])
    rows = [f'| top-1 | median | {" | ".join(f"seed {seed}" for seed in seeds)} |']
    rows.append('|---|' + '---|' * (len(seeds) + 1))
    for name, values in results.items():
        shares = ' | '.join(f'{value:.1f}' for value in (statistics.median(values), *values))
        rows.append(f'| {name} | {shares} |')
    table = '\n'.join(rows)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / 'recognition.md').write_text(table + '\n')
    print(f'\nMoving Shapes, recognition, per cent\n{table}')


if __name__ == '__main__':
    main()
