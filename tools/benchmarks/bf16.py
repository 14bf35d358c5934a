"""Compare bf16 autocast with fp32: ``python tools/benchmarks/bf16.py [CONFIG ...]``.

By default one config of every backbone, with the same tower where there is one. Each config is
measured in both precisions, each in its own process, ``--rounds`` times in turn; ratios are taken
within a round, and the table shows their medians. ``iteration`` is a training step, clipping, the
config's optimiser and zero_grad; ``view`` is one batch of views to scores or features.
``agreement`` is the least cosine between a clip's output in bf16 and in fp32, of random weights.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace

import torch

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.cost import Settings
from mmstan.benchmark.jobs import Job, drop_repeated
from mmstan.benchmark.measure import describe_machine
from mmstan.benchmark.measuring import measure_in_own_process
from mmstan.benchmark.systems import list_backbones
from mmstan.cli import add_measured_device, at_least, one_line_errors
from mmstan.wording import markdown_table

COLUMNS = ('iteration, fp32', 'bf16', 'ratio', 'view, fp32', 'bf16', 'ratio', 'agreement')
Figures = dict[str, float]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='*', help='config files')
    parser.add_argument('--rounds', type=at_least(1), default=2, help='processes per precision')
    parser.add_argument('--repeats', type=at_least(1), default=2, help='measurements per process')
    add_measured_device(parser)
    parser.add_argument('--threads', type=at_least(1), default=torch.get_num_threads())
    parser.add_argument('--clips', type=at_least(1), default=2, help='clips in a batch')
    parser.add_argument('--frames', type=at_least(1), help="default: the config's")
    parser.add_argument('--size', type=at_least(1), help="side in pixels; default: the config's")
    parser.add_argument('--compile', action='store_true', help='torch.compile the backbones')
    return parser.parse_args()


def make_row(name: str, rounds: list[tuple[Figures, Figures]]) -> list[str]:
    """Cells of a config: seconds in fp32, in bf16, their ratio, of an iteration and of a view."""
    cells = [f'`{name}`']
    for key in ('iteration', 'forward'):
        exact, low = (statistics.median(pair[i][key] for pair in rounds) for i in (0, 1))
        ratio = statistics.median(pair[0][key] / pair[1][key] for pair in rounds)
        cells += [f'{exact:.3g} s', f'{low:.3g} s', f'{ratio:.2f} x']
    return [*cells, f'{min(pair[1]["agreement"] for pair in rounds):.5f}']


def main() -> None:
    """Print the table."""
    args = parse_args()
    settings = Settings(
        device=args.device,
        threads=args.threads,
        clips=args.clips,
        compiled=args.compile,
        frames=args.frames,
        size=args.size,
        repeats=args.repeats,
    )
    jobs = drop_repeated(Job(config, settings) for config in args.configs or list_backbones())
    rounds: dict[str, list[tuple[Figures, Figures]]] = {job.name: [] for job in jobs}
    for index in range(args.rounds):
        for job in jobs:
            print(f'round {index + 1}: {job.name}', flush=True)
            low = replace(job, settings=replace(settings, precision='bf16'))
            rounds[job.name].append((measure_in_own_process(job), measure_in_own_process(low)))
    print(f'\n{describe_machine(args.device)}, {settings}'.replace(', fp32,', ','))
    rows = [make_row(name, pairs) for name, pairs in rounds.items()]
    print(markdown_table(['config', *COLUMNS], rows, align='l' + 'r' * len(COLUMNS)))


if __name__ == '__main__':
    with one_line_errors():
        main()
