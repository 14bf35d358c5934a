"""Count parameters and multiply-adds of a model: ``python tools/get_flops.py CONFIG``.

Counts one view of one video. Recognition: frames -> class scores, with the text features of the
classes already computed. Retrieval: frames -> video features. Detection: frames and four boxes ->
scores of actions, for square frames and for 16:9.

  nominal   every token passes through every layer
  executed  rows that no later layer reads are skipped

  GMACs                 with attention's matrix products (most papers)
  GMACs, linear + conv  without them (the STAN papers)

Nothing is computed and no weights are needed.
"""

from __future__ import annotations

import argparse

from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
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
    parser.add_argument('--frames', type=int, help="frames of a clip; default: the test pipeline's")
    parser.add_argument('--size', type=int, help="side in pixels; default: the test pipeline's")
    parser.add_argument(
        '--classes', type=int, default=400, help='number of classes if their file is missing'
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
