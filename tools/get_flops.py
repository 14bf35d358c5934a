"""Parameters and multiply-adds of a model: ``python tools/get_flops.py CONFIG``.

Of one view, from the frames to the scores, the features of class names being known already; in
retrieval, to the features that are compared. Two conventions stand side by side: with attention's
matrix products, as most papers count, and linear and convolution layers only, as the STAN papers
do. 'nominal' is every token through every layer; 'executed' is what runs, where outputs that nobody
reads are left out. Nothing is computed and no weights are needed.
"""

from __future__ import annotations

import argparse

from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmstan  # noqa: F401  (mends MMAction2 before anything of it is imported)
from mmstan.benchmark.flops import format_flops
from mmstan.benchmark.view import (
    find_view_size,
    use_stand_ins,
)
from mmstan.cli import one_line_errors
from mmstan.config.checks import check_arguments


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--frames', type=int, help="frames of a clip; the test pipeline's")
    parser.add_argument('--size', type=int, help="pixels of a side; the test pipeline's crop")
    parser.add_argument(
        '--classes', type=int, default=400, help='their number where the file of names is missing'
    )
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    args = parse_args()
    with one_line_errors():
        cfg = Config.fromfile(args.config)
        init_default_scope(cfg.get('default_scope', 'mmaction'))
        check_arguments(cfg)
        frames, size = find_view_size(cfg, frames=args.frames, size=args.size)
        use_stand_ins(cfg, args.classes)
        print(format_flops(cfg, frames, size))


if __name__ == '__main__':
    main()
