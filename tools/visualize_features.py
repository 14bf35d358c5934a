"""See what layers make of videos: ``python tools/visualize_features.py CONFIG [CHECKPOINT]``.

* ``cka.png``: how alike the layers of the tower and those beside it see the same patches (centred
  kernel alignment, DiST Fig. 5a), also printed, layer by layer.
* ``activation_INDEX.png``: where the last layers are active in a video (DiST Fig. 5b).

Videos are those of the test set, the first view of each. Of backbones other than DiST and STAN the
tower's layers are shown, and what ``--layers NAME=EXPRESSION`` names: a regular expression of the
names of modules in the backbone. Pictures go to the work dir.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmengine.config import Config

from mmstan.apis.layer_pictures import Layers, show_activations, show_cka
from mmstan.cli import command, merge_test_options, one_line_errors, parse


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = command(__doc__, checkpoint=True, launcher=False)
    parser.add_argument('--videos', type=int, default=32, help='how many to compare layers on')
    parser.add_argument('--patches', type=int, default=1024, help='how many, of all these videos')
    parser.add_argument(
        '--index', type=int, nargs='*', default=[0], help='videos whose activations are drawn'
    )
    parser.add_argument(
        '--layers', nargs='+', default=[], metavar='NAME=EXPRESSION', help='more layers to show'
    )
    args = parse(parser)
    if not all('=' in group for group in args.layers):
        parser.error(f'--layers {" ".join(args.layers)}: give NAME=EXPRESSION')
    return args


def main() -> None:
    """Compare and draw."""
    args = parse_args()
    with one_line_errors():
        cfg = merge_test_options(Config.fromfile(args.config), args)
        layers = Layers(cfg, dict(group.split('=', 1) for group in args.layers))
        folder = Path(cfg.work_dir)
        show_cka(layers, videos=args.videos, patches=args.patches, path=folder / 'cka.png')
        for index in args.index:
            show_activations(layers, index, folder / f'activation_{index}.png')
    print(f'Pictures: {folder}/*.png')


if __name__ == '__main__':
    main()
