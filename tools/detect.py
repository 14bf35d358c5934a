"""Find what persons do: ``python tools/detect.py CONFIG CHECKPOINT VIDEO ... --boxes FILE``.

Writes NAME.mp4 (boxes with up to five actions), NAME.png (the key frames) and NAME.csv for each
video. The boxes of persons come from a file (``--boxes``: csv ``video,timestamp,x1,y1,x2,y2,score``
or, for one video, json ``{"SECOND": [[x1, y1, x2, y2], ...]}``, as fractions of width and height),
or from torchvision's detector (``--persons``: its weights, a local file; nothing is downloaded).

``python tools/detect.py --data CONFIG`` draws key frames of the config's data set with annotated
persons and proposals; it needs no model.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mmengine.config import Config

from mmstan.apis.action_detector import ActionFinder
from mmstan.apis.detection_pictures import draw_data_set, show_actions
from mmstan.apis.key_frames import Persons, choose_seconds, read_persons
from mmstan.apis.person_detector import PersonDetector
from mmstan.cli import (
    add_cfg_options,
    at_least,
    existing_checkpoint,
    one_line_errors,
    refuse_two_checkpoints,
    share,
)
from mmstan.config.options import merge_options
from mmstan.datasets.readers import BrokenVideoError
from mmstan.wording import count_things


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', nargs='?', help='config file of an action detector')
    parser.add_argument('checkpoint', nargs='?', type=existing_checkpoint, help='its checkpoint')
    parser.add_argument('videos', nargs='*', metavar='video', help='videos')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--boxes', help='file of the persons')
    source.add_argument('--persons', metavar='WEIGHTS', help='weights that find the persons')
    source.add_argument('--data', metavar='CONFIG', help='draw the data set of a config instead')
    parser.add_argument('--pixels', action='store_true', help='the boxes are in pixels')
    parser.add_argument(
        '--every', type=float, help='seconds between key frames of --persons; default: 1'
    )
    parser.add_argument(
        '--person-score', type=share, default=0.9, help='smallest score of a person'
    )
    parser.add_argument(
        '--action-score', type=share, default=0.3, help='smallest score of an action'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/detect'), help='folder to write'
    )
    parser.add_argument(
        '--split', choices=['train', 'val', 'test'], default='test', help='of --data'
    )
    parser.add_argument('--number', type=at_least(1), default=12, help='key frames of --data')
    parser.add_argument('--device', default='auto', help='cpu, cuda, ...; default: the fastest')
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.data is None and not args.videos:
        parser.error('give CONFIG CHECKPOINT VIDEO, or --data CONFIG')
    if args.data is not None and args.config:
        parser.error(f'--data draws a data set and takes no {args.config}; remove one')
    if args.pixels and not args.boxes:
        parser.error('--pixels is for --boxes')
    if args.every is not None and not args.persons:
        parser.error('--every is for --persons: the file of --boxes has its own key frames')
    return args


def read_config(path: str, args: argparse.Namespace) -> Config:
    """Read a config, and put ``--cfg-options`` into it."""
    cfg = Config.fromfile(path)
    merge_options(cfg, args.cfg_options)
    return cfg


def make_finder(args: argparse.Namespace) -> Callable[[str], Persons]:
    """Make the function that gives the persons of a video: from the file, or by the detector."""
    if args.boxes:
        persons = read_persons(args.boxes, args.videos, score=args.person_score, pixels=args.pixels)
        return persons.__getitem__
    detector = PersonDetector(args.persons, device=args.device)
    choose = partial(choose_seconds, every=1.0 if args.every is None else args.every)

    def find(video: str) -> Persons:
        return {
            second: found[found[:, 4] >= args.person_score]
            for second, found in detector.find_in_video(video, choose)
        }

    return find


def main() -> None:
    """Draw the actions of each video, or a data set."""
    args = parse_args()
    with one_line_errors():
        if args.data is not None:
            cfg = read_config(args.data, args)
            loader = cfg.get(f'{args.split}_dataloader')
            if not loader:
                raise ValueError(f'{args.data}: no {args.split}_dataloader; give another --split')
            path = args.out / f'{Path(args.data).stem}_{args.split}.png'
            print(draw_data_set(loader.dataset, path, number=args.number))
            return
        refuse_namesakes(args.videos)
        refuse_to_replace(args.boxes, args.videos, args.out)
        refuse_two_checkpoints(args.checkpoint, args.cfg_options)
        cfg = read_config(args.config, args)
        cfg.load_from = args.checkpoint
        show_videos(ActionFinder(cfg, device=args.device), make_finder(args), args)


def show_videos(
    finder: ActionFinder, find_persons: Callable[[str], Persons], args: argparse.Namespace
) -> None:
    """Draw the actions of each video; ValueError at the end if some cannot be read."""
    lost = 0
    for video in args.videos:
        try:
            persons = find_persons(video)
            written = show_actions(finder, video, persons, out=args.out, least=args.action_score)
        except BrokenVideoError as error:
            print(error, flush=True)
            lost += 1
        else:
            print(written, flush=True)
    if lost:
        videos = count_things(len(args.videos), 'video')
        raise ValueError(f'{lost} of {videos} cannot be read, the reasons stand above')


def refuse_namesakes(videos: list[str]) -> None:
    """Raise ValueError if two videos would have the same files."""
    first: dict[str, str] = {}
    for video in videos:
        other = first.setdefault(Path(video).stem, video)
        if other != video:
            raise ValueError(
                f'{other} and {video} have the same name, and so would their files; call the '
                'command for each, with another --out'
            )


def refuse_to_replace(boxes: str | None, videos: list[str], out: Path) -> None:
    """Raise ValueError if a table that will be written is the file of ``--boxes``."""
    if boxes is None or not os.path.exists(boxes):
        return
    for table in (out / f'{Path(video).stem}.csv' for video in videos):
        if table.exists() and table.samefile(boxes):
            raise ValueError(f'--out {out}: {table} is the file of --boxes; give another folder')


if __name__ == '__main__':
    main()
