"""Draw the features of layers: ``python tools/visualize_features.py CONFIG [CHECKPOINT]``.

* ``cka.png``: how similar the tower's layers and the method's own layers are on the same patches
  (centred kernel alignment, DiST Fig. 5a); also printed, layer by layer.
* ``activation_INDEX.png``: where the last layers are active in a video (DiST Fig. 5b).

The videos are the test set's, the first view of each. DiST, STAN and EVL have layers next to the
tower; other backbones show the tower's layers only. ``--layers NAME=EXPRESSION`` adds the modules
of the backbone whose names match a regular expression. Pictures go to the work dir.
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
    parser.add_argument('--videos', type=int, default=32, help='number of videos for cka.png')
    parser.add_argument(
        '--patches', type=int, default=1024, help='number of patches over all videos'
    )
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
    """Compare the layers and draw their activations."""
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
