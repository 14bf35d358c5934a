"""Measure training pipelines: ``python tools/benchmarks/pipelines.py CONFIG [CONFIG ...]``.

Prints how many clips a second a config's data loader gives on this machine, decoded and
transformed, with the config's workers and batch size; and the share of each transform in the time
of one process. The figures are medians over passes; the first pass is not counted.
``--videos FOLDER`` reads all videos below a folder instead of the config's data, without
annotations.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

from mmengine.config import Config

from mmstan.benchmark.measure import describe_machine
from mmstan.benchmark.pipeline import measure_pipeline, report
from mmstan.cli import one_line_errors

_CORES = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


def main() -> None:
    """Print a table for each config."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files')
    parser.add_argument(
        '--videos', type=Path, help="folder of videos to read instead of the configs' data"
    )
    parser.add_argument('--workers', type=int, help="of the data loader; default: the config's")
    parser.add_argument('--clips', type=int, default=64, help='fewest clips of a pass')
    parser.add_argument('--repeats', type=int, default=3, help='passes; medians are printed')
    args = parser.parse_args()
    options = {key: value for key, value in vars(args).items() if key != 'configs'}
    warnings.filterwarnings('ignore', 'This DataLoader will create')  # the cores are printed
    with one_line_errors():
        print(f'{describe_machine()}, {_CORES} cores')
        for config in args.configs:
            figures = measure_pipeline(Config.fromfile(config), **options)
            print(report(config, figures), flush=True)


if __name__ == '__main__':
    main()
