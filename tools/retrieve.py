"""Search a test set with a retrieval model: ``python tools/retrieve.py CONFIG CHECKPOINT``.

* ``--query "a red circle moves up"``, once or several times, or ``--index 7`` for a caption of the
  test set: shows the videos found, as film strips with their scores.
* ``--pair 7``: shows Mug's weights of the words of a caption and the frames of its video.
* ``--misalignment``: reports which share of its video each caption describes, and R@1 by share.
  With ``--levels-from CONFIG [CHECKPOINT]`` another model judges the shares (Mug-STAN Table IX:
  CLIP-L/14, ``configs/baselines/clip_mean/msrvtt_l14.py``); with ``--train-set`` on training data.
* ``--wins 5 --against CONFIG [CHECKPOINT]``: captions whose video this model ranks first and the
  other one does not, the other's worst rank first, and how many there are each way; ``--index 7
  --against ...`` shows one caption (Mug-STAN Fig. 7 and 8). Red are the one or two words without
  which this model's score falls most, or those of ``--mark``.

Pictures go to the work dir, or to ``--out``. Captions are numbered in the order of the test set.
The features of the test set are saved in the work dir (``features.pth``) for the next query.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmengine.config import Config

from mmstan.apis.retrieval_pictures import (
    report_misalignment,
    show_found,
    show_hits,
    show_pair,
)
from mmstan.apis.retrieval_wins import compare_models, find_wins, format_counts, show_wins
from mmstan.apis.search.test_sets import index_test_set
from mmstan.apis.test_set import TestSet
from mmstan.cli import at_least, command, is_checkpoint, merge_test_options, one_line_errors, parse
from mmstan.engine.retrieval_loops import make_training_bank

NAME = 'retrieved.png'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = command(__doc__, checkpoint=True, launcher=False)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        '--query',
        action='append',
        dest='queries',
        help='find videos for this text; repeatable',
    )
    what.add_argument('--index', type=int, help='find videos for this caption')
    what.add_argument('--pair', type=int, help="Mug's weights for this caption and its video")
    what.add_argument('--wins', type=at_least(1), help='of --against: how many captions to show')
    what.add_argument('--misalignment', action='store_true', help='report on all captions')
    parser.add_argument(
        '--levels-from',
        nargs='+',
        metavar=('CONFIG', 'CHECKPOINT'),
        help='of --misalignment: the model that judges the shares; default: the model itself',
    )
    parser.add_argument(
        '--train-set',
        action='store_true',
        help='of --misalignment: the training data in place of the test set',
    )
    parser.add_argument(
        '--against',
        nargs='+',
        metavar=('CONFIG', 'CHECKPOINT'),
        help='of --wins and --index: the model to compare with',
    )
    parser.add_argument('--mark', nargs='+', default=[], help='of --against: words to draw in red')
    parser.add_argument(
        '--top', type=at_least(1), help='of --query and --index: videos to show; default: 5'
    )
    parser.add_argument('--out', type=Path, help='the picture, .png')
    parser.add_argument('--no-cache', action='store_true', help='encode the test set again')
    args = parse(parser)
    if (args.levels_from or args.train_set) and not args.misalignment:
        parser.error('--levels-from and --train-set go with --misalignment')
    if args.against and args.index is None and args.wins is None:
        parser.error('--against goes with --index or --wins')
    if (args.wins or args.mark) and not args.against:
        parser.error('--wins and --mark go with --against')
    finds = args.queries or (args.index is not None and not args.against)
    if args.top is not None and not finds:
        parser.error('--top goes with --query, and with --index without --against')
    args.top = 5 if args.top is None else args.top
    for option, given in (('--levels-from', args.levels_from), ('--against', args.against)):
        if len(given or ()) > 2:
            parser.error(f'{option} {" ".join(given)}: give CONFIG [CHECKPOINT]')
    return args


def read_other(args: argparse.Namespace, option: str, given: list[str]) -> TestSet:
    """The test set, encoded by the model of an option, which is CONFIG [CHECKPOINT]."""
    config, *checkpoint = given
    if checkpoint and not is_checkpoint(checkpoint[0]):
        raise ValueError(f'{option}: there is no checkpoint {checkpoint[0]}')
    own = dict(config=config, checkpoint=(checkpoint or [None])[0], work_dir=None, cfg_options=None)
    cfg = read_config(argparse.Namespace(**{**vars(args), **own}))
    if option == '--against':  # the same config with another checkpoint has features of its own
        cfg.work_dir = str(Path(cfg.work_dir, 'against'))
        cfg.experiment_name = f'against_{Path(config).stem}'
    return TestSet(cfg, cache=not args.no_cache)


def name_models(args: argparse.Namespace) -> tuple[str, str]:
    """Names of both models: their configs', or where these are the same also the checkpoints'."""
    given = [args.config, args.checkpoint], [*args.against, None][:2]
    first, second = (Path(config).stem for config, _ in given)
    if first != second:
        return first, second
    paths = [Path(checkpoint or config) for config, checkpoint in given]
    return f'{first} ({paths[0].name})', f'{second} ({paths[1].name}, --against)'


def read_config(args: argparse.Namespace) -> Config:
    """The config with the command's options; its test set is the training data if they say so."""
    cfg = merge_test_options(Config.fromfile(args.config), args)
    if args.train_set:
        cfg.work_dir = str(Path(cfg.work_dir, 'train_set'))  # features of its own
        cfg.test_dataloader = make_training_bank(cfg)
    return cfg


def answer_queries(data: TestSet, queries: list[str], top: int, path: Path) -> None:
    """Show the videos of every query; the pictures of several have numbers behind their names."""
    index = index_test_set(data)
    for number, query in enumerate(queries, start=1):
        picture = path if len(queries) == 1 else path.with_stem(f'{path.stem}_{number}')
        if len(queries) > 1:
            print(query)
        if index is None:
            show_found(data, query, None, top, picture)
        else:
            show_hits(data, index, query, top, picture)
        print(f'Picture: {picture}')


def compare(args: argparse.Namespace, data: TestSet, path: Path) -> bool:
    """Show captions with the first videos of two models; returns whether there was one."""
    duel = compare_models(data, read_other(args, '--against', args.against), name_models(args))
    print(format_counts(duel))
    captions = [args.index] if args.wins is None else find_wins(duel)[0][: args.wins]
    if captions:
        show_wins(duel, captions, args.mark, path)
    return bool(captions)


def main() -> None:
    """Encode the test set and draw the picture that the options name."""
    args = parse_args()
    with one_line_errors():
        cfg = read_config(args)
        data = TestSet(cfg, cache=not args.no_cache)
        if args.queries:
            answer_queries(data, args.queries, args.top, args.out or Path(cfg.work_dir, NAME))
            return
        if args.misalignment:
            path = args.out or Path(cfg.work_dir, 'misalignment.png')
            given = args.levels_from
            judge = read_other(args, '--levels-from', given) if given else None
            report_misalignment(data, path, levels_from=judge)
        elif args.against:
            path = args.out or Path(cfg.work_dir, 'wins.png')
            if not compare(args, data, path):
                return
        elif args.pair is not None:
            path = args.out or Path(cfg.work_dir, f'pair_{args.pair}.png')
            show_pair(data, args.pair, path)
        else:
            path = args.out or Path(cfg.work_dir, NAME)
            show_found(data, *data.caption(args.index), args.top, path)
    print(f'Picture: {path}')


if __name__ == '__main__':
    main()
