"""Ask a video: ``python tools/chat.py ENGINE --branch FILE --video V --question 'What happens?'``.

Without a question, questions are read line by line until an empty one. Several questions are turns
of one conversation; answers are printed as they come. ``--compare`` answers each question twice,
without and with the branch, and ``--out`` draws the film with both answers (Mug-STAN, Fig. 11).
``--web`` opens a page on this machine instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.chat import Conversation, VideoChat
from mmstan.chat.web import launch
from mmstan.chat_options import add_engine_options, choose_generation, load_chat
from mmstan.cli import one_line_errors
from mmstan.engine.console import keep_console_short
from mmstan.visualization.dialogue import Turn, draw_dialogue

PLAIN, BRANCH = 'LLaVA', 'STAN-LLaVA'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_engine_options(parser)
    parser.add_argument('--video', help='a file, an address or a folder of images')
    parser.add_argument('--question', nargs='+', help='one or several, turns of a conversation')
    parser.add_argument('--compare', action='store_true', help='answer without the branch, too')
    parser.add_argument('--out', type=Path, help='picture to draw, .png')
    parser.add_argument('--web', action='store_true', help='open a page; needs gradio')
    parser.add_argument('--host', default='127.0.0.1', help='of the page; default: 127.0.0.1')
    parser.add_argument('--port', type=int, help='of the page; default: the first free one')
    args = parser.parse_args()
    if not args.web and not args.video:
        parser.error('give --video FILE, or --web')
    if args.compare and not (args.branch and args.branch_weight):
        parser.error('--compare needs --branch FILE and a --branch-weight above 0')
    of_page = dict(host=args.host != parser.get_default('host'), port=args.port)
    of_terminal = {name: getattr(args, name) for name in ('video', 'question', 'compare', 'out')}
    for name, given in (of_terminal if args.web else of_page).items():
        if given:
            parser.error(f'--{name} {"does not go with" if args.web else "is an option of"} --web')
    return args


def start(chat: VideoChat, args: argparse.Namespace) -> dict[str, Conversation]:
    """Name of a model -> its conversation about the video."""
    name = BRANCH if chat.encoder.branch_weight else PLAIN
    talks = {name: chat.start(args.video)}
    if args.compare:
        talks = {PLAIN: chat.start(args.video, branch_weight=0.0), **talks}
    return talks


def list_questions(args: argparse.Namespace) -> Iterator[str]:
    """The questions of the command line, or of the terminal until an empty line."""
    if args.question:
        for question in args.question:
            print(f'> {question}')
            yield question
        return
    while question := _read_line():
        yield question


def _read_line() -> str:
    try:
        return input('> ').strip()
    except EOFError:
        return ''


def answer(talks: dict[str, Conversation], question: str, generation: dict[str, Any]) -> None:
    """Print the answer of every conversation as it comes."""
    for name, talk in talks.items():
        print(f'{name}: ', end='', flush=True)
        for piece in talk.stream(question, **generation):
            print(piece, end='', flush=True)
        print()


def draw(path: Path, chat: VideoChat, video: str, talks: dict[str, Conversation]) -> None:
    """Draw the film, the questions and the answers."""
    questions = next(iter(talks.values())).questions
    turns = [
        Turn(question, {name: talk.answers[i] for name, talk in talks.items()})
        for i, question in enumerate(questions)
    ]
    draw_dialogue(path, np.stack(chat.encoder.read(video)), turns)
    print(f'Picture: {path}', file=sys.stderr)


def main() -> None:
    """Chat."""
    args = parse_args()
    with one_line_errors(), keep_console_short():
        chat = load_chat(args)
        if args.web:
            launch(chat, choose_generation(args), host=args.host, port=args.port)
            return
        talks = start(chat, args)
        for question in list_questions(args):
            try:
                answer(talks, question, choose_generation(args))
            except ValueError as error:
                if args.question:
                    raise
                print(f'\nerror: {error}')  # at the terminal, the conversation goes on
        if args.out is not None:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            draw(args.out, chat, args.video, talks)


if __name__ == '__main__':
    main()
