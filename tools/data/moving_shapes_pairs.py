"""Hold out pairs of shape and motion from training: ``python tools/data/moving_shapes_pairs.py``.

Writes the annotations of configs/quickstart/xclip_zero_shot.py next to the annotations of Moving
Shapes, and renders its videos if they are missing (:mod:`mmstan.datasets.moving_shapes.pairs`).
"""

import argparse

from mmstan.cli import one_line_errors
from mmstan.datasets.moving_shapes.pairs import write_pairs
from mmstan.datasets.moving_shapes.render import SIZES, generate


def main() -> None:
    """Read the command line and write the lists."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--size', choices=list(SIZES), default='small')
    parser.add_argument('--out', default='data/moving_shapes')
    args = parser.parse_args()
    folder = generate(args.out, size=args.size, tasks=['recognition']) / 'recognition'
    print(f'Pairs of Moving Shapes: {write_pairs(folder)}')


if __name__ == '__main__':
    with one_line_errors():
        main()
