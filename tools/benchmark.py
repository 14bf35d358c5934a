"""Compare systems in one table: ``python tools/benchmark.py [CONFIG ...]``, by default all.

The cost of each config on this machine: parameters, multiply-adds, throughput, peak memory, share
of the machine's matrix-product rate. Forward and training step are given as ratios to CLIP mean
pooling with the same tower and as many frames; where ``configs/baselines/clip_mean`` has such a
config, it is measured too, once. Each config runs in its own process, one after the other,
``--rounds`` times in turn; the table shows medians. Ratios are of times in plain matrix products,
which are measured next to them: on a shared machine, seconds differ more. ``iteration`` is training
as users run it: a step, clipping, the config's optimiser, zero_grad.
``--beside bf16 compiled bf16-compiled`` also measures each config in these variants: how many times
as fast is its iteration there?
``--train moving_shapes`` adds accuracies: top-1 of eight motions, or R@1 on misaligned videos,
with the same small towers, data and budget for all.
``--data`` measures the pipelines of the named configs: is the model fed fast enough?

Each finished row is saved in ``work_dirs/benchmark/MACHINE``, and a later call goes on from there.
A config is measured again if it has changed, or a module of yours that it imports; if mmstan's own
code has changed, give ``--again``. A table never mixes machines or options.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from mmengine.config import Config

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.cost import VARIANTS, Settings
from mmstan.benchmark.endless import prepare_data
from mmstan.benchmark.iteration import PRECISIONS
from mmstan.benchmark.jobs import Job, add_references, add_variants
from mmstan.benchmark.measure import describe_machine
from mmstan.benchmark.measuring import forget, run_costs, run_training
from mmstan.benchmark.pipeline import judge_rates, measure_pipeline, report
from mmstan.benchmark.store import Costs, make_rows
from mmstan.benchmark.systems import list_systems
from mmstan.benchmark.table import write
from mmstan.cli import add_measured_device, at_least, one_line_errors
from mmstan.config.checks import check_arguments


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='*', help='config files')
    parser.add_argument(
        '--rounds', type=at_least(0), default=2, help='processes per config; 0: measure no cost'
    )
    parser.add_argument('--repeats', type=at_least(1), default=3, help='measurements per process')
    add_measured_device(parser)
    parser.add_argument('--threads', type=at_least(1), default=torch.get_num_threads())
    parser.add_argument('--clips', type=at_least(1), default=2, help='clips in a batch')
    parser.add_argument(
        '--frames', type=at_least(1), help="frames of a clip; default: the config's"
    )
    parser.add_argument('--size', type=at_least(1), help="side in pixels; default: the config's")
    parser.add_argument('--precision', choices=PRECISIONS, default='fp32', help='of autocast')
    parser.add_argument('--compile', action='store_true', help='torch.compile the backbones')
    parser.add_argument(
        '--beside',
        nargs='+',
        choices=VARIANTS,
        default=[],
        help='measure each config in these variants of the settings as well',
    )
    parser.add_argument(
        '--largest-batch',
        action='store_true',
        help='look for the largest batch that fits on the GPU',
    )
    parser.add_argument('--train', choices=['moving_shapes'], help='train and test as well')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='seeds of --train')
    parser.add_argument('--data', action='store_true', help='measure the pipelines as well')
    parser.add_argument('--videos', type=Path, help='folder: --data reads these videos instead')
    parser.add_argument(
        '--workers', type=at_least(0), help="workers of --data; default: the config's"
    )
    parser.add_argument(
        '--again',
        action='store_true',
        help='delete earlier figures of CONFIGs, their mean pooling and their toy towers first',
    )
    parser.add_argument('--report', action='store_true', help='run nothing, show the saved figures')
    parser.add_argument('--out', type=Path, help='folder of systems.csv, .md and .png')
    args = parser.parse_args()
    args.seeds = list(dict.fromkeys(args.seeds))
    if args.report and (args.again or args.data):
        parser.error('--report runs nothing and shows what is there: without --again and --data')
    if args.data and not args.configs:
        parser.error('--data measures the pipelines of CONFIG [CONFIG ...]: name at least one')
    if (args.videos or args.workers is not None) and not args.data:
        parser.error('--videos and --workers are options of --data')
    _check_variants(parser, args)
    return args


def _check_variants(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End the program where precision, variants and device do not go together."""
    own = dict(precision=args.precision, compiled=args.compile)
    for name in args.beside:
        if own | VARIANTS[name] == own:
            parser.error(f'--beside {name} is what the other options measure already: leave it out')
    if args.device == 'cpu' and args.precision == 'fp16':
        parser.error('--precision fp16 is for a GPU: on a CPU take bf16')
    if args.device == 'cpu' and args.largest_batch:
        parser.error('--largest-batch is for a GPU: it fills the memory')


def settings_of(args: argparse.Namespace) -> Settings:
    """The measurement settings, which all figures of a table share."""
    return Settings(
        device=args.device,
        threads=args.threads,
        clips=args.clips,
        precision=args.precision,
        compiled=args.compile,
        frames=args.frames,
        size=args.size,
        repeats=args.repeats,
        largest_batch=args.largest_batch,
    )


def run_data(configs: Sequence[str], costs: Costs, args: argparse.Namespace) -> None:
    """Print the rates (clips a second) of each data pipeline and of its model in training."""
    warnings.filterwarnings('ignore', 'This DataLoader will create')  # workers are printed
    for config in configs:
        found = measure_pipeline(
            Config.fromfile(config),
            videos=args.videos,
            workers=args.workers,
            repeats=args.repeats,
        )
        rounds = costs.rounds(Job(config, settings_of(args))).values()
        appetite = _find_appetite(rounds, args.clips)
        print(report(config, found))
        print(f'  {judge_rates(found["loader"], appetite, one_process=found["one_process"])}')


def _find_appetite(rounds: Collection[Mapping[str, float]], clips: int) -> float | None:
    """Clips a second that a model takes in training."""
    if not rounds:
        return None
    return clips / statistics.median(x.get('iteration', x['step']) for x in rounds)


def main() -> None:
    """Measure the missing figures and print the table."""
    args = parse_args()
    settings, configs = settings_of(args), args.configs or list_systems()
    for config in configs:
        check_arguments(Config.fromfile(config))
        if args.data:  # before hours of measurements
            with prepare_data(Config.fromfile(config), args.videos):
                pass
    name, jobs = describe_machine(args.device), add_references(configs, settings)
    folder = Path('work_dirs/benchmark', re.sub(r'[^\w.]+', '-', name).strip('-').lower())
    costs, runs = Costs(folder / 'cost.jsonl'), folder / 'moving_shapes'
    trained = list(dict.fromkeys(job.config for job in jobs)) if args.train else []
    failed: list[str] = []
    measured = add_variants(jobs, args.beside)
    if args.again:
        forget(costs, measured if args.rounds else [], trained, args.seeds, runs)
    if not args.report:
        failed += run_costs(costs, measured, args.rounds)
        failed += run_training(trained, args.seeds, runs)
    if args.data:
        run_data(args.configs, costs, args)
    rows = make_rows(jobs, costs, args.seeds, runs, f'{name}, {settings}', beside=args.beside)
    print(f'\n{write(rows, args.out or folder)}')
    if failed:
        sys.exit('\n'.join(['failed:', *failed]))


if __name__ == '__main__':
    with one_line_errors():
        main()
