"""Draw the features of layers: ``python tools/visualize_features.py CONFIG [CHECKPOINT]``.

* ``cka.png``: how similar the tower's layers and the method's own layers are on the same patches
  (centred kernel alignment, DiST Fig. 5a); also printed, layer by layer.
* ``activation_INDEX.png``: where the last layers are active in a video (DiST Fig. 5b).

The videos are the test set's, the first view of each. DiST, STAN and EVL have layers next to the
tower; other backbones show the tower's layers only. ``--layers NAME=EXPRESSION`` adds the modules
of the backbone whose names match a regular expression. Pictures go to the work dir.

``layers`` in front of CONFIG says the same. ``cam`` in its place draws where the model looks when
it scores a text or a class (Mug-STAN Fig. 9): ``python tools/visualize_features.py cam --help``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from mmstan.apis.cam_clips import find_best_videos, find_videos, read_videos
from mmstan.apis.cam_pictures import Question, View, build_twin, check_question, show_maps
from mmstan.apis.layer_pictures import Layers, load_model_of_layers, show_activations, show_cka
from mmstan.apis.test_set import TestSet
from mmstan.cli import at_least, command, merge_test_options, one_line_errors, parse
from mmstan.visualization import METHODS

CAM = """Draw where a model looks in a video when it scores a text or a class (Mug-STAN Fig. 9).

Below the frames, a row for each layer and method, red where the score owes most to the layer. With
--control each row is followed by the same of the model before training: only differences between
the two can be due to training. docs/where_a_model_looks.md says what a map shows.

Layers: tower.12 (blocks, from 1), branch.2 (STAN's intra-frame modules; branch.2.3 of the second of
several branches), temporal.12 and integration.12 (DiST), or the name of a module of the backbone;
message.12 (X-CLIP) and time.4 (attention over time) give a matrix, whatever --method and --scale
are: which frames each frame hears.

  gradcam             Grad-CAM, each frame an image
  gradcam-video       with one weight a channel for the whole video, so that frames are comparable
  elementwise         HiResCAM: token times gradient, patch by patch
  attention           the class token's attention, mean over the heads; no gradient, no text
  attention-gradient  attention times its gradient
"""


def parse_layers(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line of ``layers``."""
    parser = command(__doc__, checkpoint=True, launcher=False)
    parser.add_argument(
        '--videos', type=at_least(1), default=32, help='number of videos for cka.png'
    )
    parser.add_argument(
        '--patches', type=at_least(4), default=1024, help='number of patches over all videos'
    )
    parser.add_argument(
        '--index', type=int, nargs='*', default=[0], help='videos whose activations are drawn'
    )
    parser.add_argument(
        '--layers', nargs='+', default=[], metavar='NAME=EXPRESSION', help='more layers to show'
    )
    args = parse(parser, arguments)
    if not all('=' in group for group in args.layers):
        parser.error(f'--layers {" ".join(args.layers)}: give NAME=EXPRESSION')
    if len({group.partition('=')[0] for group in args.layers}) < len(args.layers):
        parser.error(f'--layers {" ".join(args.layers)}: give each a NAME of its own')
    return args


def parse_cam(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line of ``cam``."""
    parser = command(CAM, checkpoint=True, launcher=False)
    parser.prog += ' cam'
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument('--video', nargs='+', help='video files')
    which.add_argument('--index', type=int, nargs='+', help='videos of the test set')
    which.add_argument('--top', type=at_least(1), help='of retrieval: the videos that fit best')
    parser.add_argument('--text', help='the text whose score is explained')
    parser.add_argument('--against', help='another text, whose score is subtracted')
    parser.add_argument(
        '--label',
        type=int,
        nargs='+',
        default=[],
        help='in place of a text, a class; of a head with verbs and nouns, one of each',
    )
    parser.add_argument('--layer', nargs='+', default=[], help="default: the backbone's main ones")
    parser.add_argument('--method', nargs='+', choices=METHODS, default=['gradcam'])
    parser.add_argument(
        '--scale', choices=['video', 'frame'], default='video', help='one maximum, or one a frame'
    )
    parser.add_argument('--out', type=Path, help='the picture, .png; default: cam.png in work dir')
    parser.add_argument('--control', action='store_true', help='also the model before training')
    args = parse(parser, arguments)
    if args.top and args.text is None:
        parser.error('--top finds the videos of --text')
    return args


def draw_layers(args: argparse.Namespace) -> None:
    """Compare the layers and draw their activations."""
    cfg = merge_test_options(Config.fromfile(args.config), args)
    layers = Layers(cfg, dict(group.split('=', 1) for group in args.layers))
    folder = Path(cfg.work_dir)
    show_cka(layers, videos=args.videos, patches=args.patches, path=folder / 'cka.png')
    for index in args.index:
        show_activations(layers, index, folder / f'activation_{index}.png')
    print(f'Pictures: {folder}/*.png')


def draw_cam(args: argparse.Namespace) -> None:
    """Draw the maps of every video."""
    cfg = merge_test_options(Config.fromfile(args.config), args)
    question = Question(args.text, args.against, args.label)
    if args.top:
        data = TestSet(cfg)
        model = data.model
        check_question(model, question, args.config)
        samples = find_best_videos(data, args.text, args.top)
    else:
        model = load_model_of_layers(cfg, splits=() if args.video else ('test',))
        check_question(model, question, args.config)
        samples = (
            read_videos(cfg, args.video, args.text) if args.video else find_videos(cfg, args.index)
        )
    twin = build_twin(cfg) if args.control else None
    view = View(args.layer, args.method, args.scale)
    path = args.out or Path(cfg.work_dir, 'cam.png')
    for number, sample in enumerate(samples, start=1):
        picture = path if len(samples) == 1 else path.with_stem(f'{path.stem}_{number}')
        show_maps(model, sample, question, view, picture, twin=twin)
        print(f'Picture: {picture}')


COMMANDS = {'layers': (parse_layers, draw_layers), 'cam': (parse_cam, draw_cam)}


def main() -> None:
    """Run the command of the first word, ``layers`` without one."""
    arguments = sys.argv[1:]
    word = arguments.pop(0) if arguments[:1] and arguments[0] in COMMANDS else 'layers'
    read, draw = COMMANDS[word]
    args = read(arguments)
    with one_line_errors():
        draw(args)


if __name__ == '__main__':
    main()
