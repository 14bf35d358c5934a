"""Tables on Moving Shapes: every system with every seed, and the medians over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from mmstan.benchmark.runs import (
    find_last_checkpoint,
    read_result,
    read_retrieval_figures,
    train_and_test,
)
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


def run_recognition(seed: int, systems: Sequence[str] | None) -> None:
    """Run the recognition systems with one seed."""
    generate(size='small', tasks=['recognition'])
    for stem in systems or RECOGNITION.values():
        train_and_test(CONFIGS / f'{stem}.py', OUT / f'{stem}_seed{seed}', '--seed', str(seed))


def run_misaligned(seed: int, systems: Sequence[str] | None) -> None:
    """Train with one seed on the aligned data, then from that checkpoint on the misaligned."""
    generate(size='small', tasks=['retrieval', 'misaligned'])
    options = ['--seed', str(seed)]
    aligned = OUT / f'{ALIGNED}_seed{seed}'
    train_and_test(CONFIGS / f'{ALIGNED}.py', aligned, *options, figures=read_retrieval_figures)
    options += ['--cfg-options', f'load_from={find_last_checkpoint(aligned)}']
    for stem in systems or MISALIGNED.values():
        config = CONFIGS / f'misaligned_{stem}.py'
        work_dir = OUT / f'misaligned_{stem}_seed{seed}'
        train_and_test(config, work_dir, *options, figures=read_retrieval_figures)


def read_figures(stem: str, seeds: Sequence[int], key: str) -> list[float | None]:
    """One figure of a config's runs, one value per seed; None for an unfinished run."""
    files = [OUT / f'{stem}_seed{seed}' / 'result.json' for seed in seeds]
    return [None if found is None else found[key] for found in map(read_result, files)]


def report_recognition(seeds: Sequence[int]) -> str:
    """Markdown: top-1 in per cent of the finished runs."""
    rows = []
    for name, stem in RECOGNITION.items():
        shares = [x and 100 * x for x in read_figures(stem, seeds, 'top-1')]
        rows.append([name, format_median(shares), *map(format_figure, shares)])
    return markdown_table(['', 'median', *(f'seed {seed}' for seed in seeds)], rows)


def report_misaligned(seeds: Sequence[int]) -> str:
    """Markdown: text-to-video retrieval of the finished runs."""
    heads = ['R@1', 'R@5', 'MdR', *(f'R@1 seed {seed}' for seed in seeds)]
    before = {key: read_figures(ALIGNED, seeds, f't2v/{key}') for key in ('R1', 'R5', 'MdR')}
    cells = [*map(format_median, before.values()), *map(format_figure, before['R1'])]
    rows = [['the start, on the aligned data', *cells]]
    for name, stem in MISALIGNED.items():
        found = {key: read_figures(f'misaligned_{stem}', seeds, f't2v/{key}') for key in before}
        cells = [*map(format_median, found.values()), *map(format_figure, found['R1'])]
        rows.append([name, *cells])
    return markdown_table(['', *heads], rows)


def format_figure(figure: float | None) -> str:
    """A figure with one decimal, or ``-`` for None."""
    return '-' if figure is None else f'{figure:.1f}'


def format_median(figures: Sequence[float | None]) -> str:
    """The median of the figures that are not None, with one decimal."""
    there = [x for x in figures if x is not None]
    return format_figure(statistics.median(there) if there else None)
