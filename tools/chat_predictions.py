"""Answer a video-chat benchmark, in the format that Video-ChatGPT's judge scripts read.

``python tools/chat_predictions.py ENGINE --branch FILE --data msvd_qa --videos FOLDER --questions
FILE --out predictions.json``. It goes on where an earlier call was stopped; ``--part 1/2`` and
``--part 2/2`` split the questions between two processes, and the last one writes the output. Next
to the file it prints shares of equal words, which are no substitute for the judge.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.chat.predictions import answer_items, compare_answers, fingerprint, parse_part
from mmstan.chat.question_files import DATA, read_items
from mmstan.chat_options import add_engine_options, choose_generation, load_chat
from mmstan.cli import at_least, one_line_errors
from mmstan.engine.console import keep_console_short


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_engine_options(parser)
    parser.add_argument('--data', required=True, choices=list(DATA), help='the benchmark')
    parser.add_argument('--videos', required=True, type=Path, help='folder of the videos')
    parser.add_argument('--questions', required=True, help='JSON file of the questions')
    parser.add_argument('--answers', help="JSON file of the answers, ActivityNet-QA's alone")
    parser.add_argument('--out', required=True, type=Path, help='predictions.json')
    parser.add_argument('--part', default='1/1', help='of the questions, e.g. 1/2; default: 1/1')
    parser.add_argument('--batch', type=at_least(1), default=4, help='questions at a time')
    return parser.parse_args()


def show_progress(done: int, count: int) -> None:
    """Print how many questions are answered, on one line."""
    print(f'\r{done} of {count} answered', end='\n' if done == count else '', file=sys.stderr)


# Options that do not change an answer.
_WITHOUT = ('videos', 'questions', 'answers', 'out', 'part', 'batch', 'device_map', 'local')


def main() -> None:
    """Answer the questions, write them, print the shares."""
    args = parse_args()
    with one_line_errors(), keep_console_short():
        part = parse_part(args.part)
        items = read_items(args.data, args.questions, args.answers)
        if not args.videos.is_dir():
            raise FileNotFoundError(f'videos={args.videos}: there is no such folder')
        args.out.parent.mkdir(parents=True, exist_ok=True)
        settings = {name: value for name, value in vars(args).items() if name not in _WITHOUT}
        entries = answer_items(
            load_chat(args),
            items,
            args.videos,
            args.out,
            part=part,
            batch=args.batch,
            generation=choose_generation(args),
            progress=show_progress,
            made_from=fingerprint(settings, items),
        )
    if entries is None:
        print(f'part {args.part} is answered; the last part writes {args.out}')
        return
    shares = compare_answers(items, entries)
    print(f'{len(entries)} entries -> {args.out}')
    print('Equal words, not comparable with published numbers, which a judge model gives:')
    print(
        f'exact {shares["exact"]:.1f} %, contains {shares["contains"]:.1f} %, '
        f'missing {shares["missing"]:.0f}'
    )


if __name__ == '__main__':
    main()
