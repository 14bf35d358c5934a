"""``mmstan prepare SOURCE --out FOLDER``: own videos to lists and a config for training."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = """Make lists, class names, a report and a config of videos of your own.

SOURCE is a folder with a folder a class, a folder with train/, val/ and perhaps test/ that have
class folders, or a table (csv) with the columns path,label or path,caption and, if wanted, split
and start,end in seconds. Every video is opened; broken ones are named and left out. Called again,
it goes on where it was stopped. docs/own_data.md says more.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command; nothing heavy is imported."""
    parser.description = parser.description or DESCRIPTION
    parser.add_argument('source', type=Path, help='folder of videos, or table')
    parser.add_argument('--out', type=Path, required=True, help='folder of lists and config')
    parser.add_argument(
        '--split',
        type=float,
        nargs='+',
        metavar='SHARE',
        help='shares of training, validation and, if wanted, test; default: 0.8 0.1 0.1',
    )
    parser.add_argument(
        '--group',
        metavar='REGEX',
        help="videos whose names match alike stay in one split: '(.*)_c\\d+' for clips of a film",
    )
    parser.add_argument('--seed', type=int, default=0, help='of the split; default: 0')
    parser.add_argument(
        '--classes', type=Path, metavar='FILE', help='class names in label order; default: sorted'
    )
    parser.add_argument(
        '--keep-names', action='store_true', help='brush_hair stays so, and is not brush hair'
    )
    parser.add_argument(
        '--encode',
        nargs='?',
        const='',
        metavar='short-side=256,gop=16',
        help='encode videos again: small, a key frame every 16 frames, no audio',
    )
    parser.add_argument('--jobs', type=int, default=2, help='videos at a time; default: 2')
    parser.add_argument(
        '--config',
        help='config to copy, a file or a name; default: stan/k400_b16, or stan/msrvtt_b16 for '
        'captions',
    )
    parser.add_argument(
        '--strict', action='store_true', help='a video that cannot be used is an error'
    )


def run(args: argparse.Namespace) -> None:
    """Prepare the data, and print a line a stage.

    Raises:
        ValueError: The source or an option is not as it must be; the message has the change.
        OSError: A file or folder is missing or cannot be written.
    """
    from mmstan.prepare.encode import Encoding
    from mmstan.prepare.prepare import prepare
    from mmstan.prepare.settings import Settings

    encode = None if args.encode is None else Encoding.parse(args.encode)
    options = {key: value for key, value in vars(args).items() if key in Settings.__annotations__}
    prepare(Settings(**{**options, 'encode': encode}))
