"""How much of a model's maps lies on the moving shape: ``where_it_looks.py CONFIG CHECKPOINT``.

For every block and method the gain on test videos of Moving Shapes, with their true classes: the
map's share on the shape over the shape's share of the picture, so 1 is chance. In brackets is the
gain of the model before training, with seed 0. docs/where_a_model_looks.md has the table of the
quickstart's STAN.
"""

from __future__ import annotations

from mmengine.config import Config

from mmstan.apis.cam_gains import format_gains, measure_gains
from mmstan.cli import at_least, command, merge_test_options, one_line_errors, parse
from mmstan.visualization import METHODS


def main() -> None:
    """Measure and print the gains."""
    parser = command(__doc__, checkpoint=True, launcher=False)
    parser.add_argument('--videos', type=at_least(1), default=100, help='default: 100')
    parser.add_argument('--method', nargs='+', choices=METHODS, default=METHODS)
    args = parse(parser)
    with one_line_errors():
        cfg = merge_test_options(Config.fromfile(args.config), args)
        print(format_gains(measure_gains(cfg, videos=args.videos, methods=args.method)))


if __name__ == '__main__':
    main()
