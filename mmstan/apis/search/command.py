"""The command ``mmstan index``: build, add, remove, query, info."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mmstan.apis.search.hits import Hit
from mmstan.apis.search.kinds import KINDS
from mmstan.wording import count_things

if TYPE_CHECKING:
    from mmstan.apis.search.index import SearchIndex


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands and their options to a parser."""
    commands = parser.add_subparsers(dest='action', required=True, metavar='ACTION')
    build = _add_command(commands, 'build', 'encode videos and write their index', model=True)
    build.add_argument('videos', nargs='+', help='folders, patterns, .csv or .txt lists, videos')
    build.add_argument('--kind', choices=KINDS, default='auto', help='how frames are searched')
    build.add_argument('--store', choices=('float16', 'float32'), default='float16')
    build.add_argument(
        '--segments',
        nargs=2,
        type=float,
        metavar=('SECONDS', 'STRIDE'),
        help='cut long videos into segments',
    )
    add = _add_command(commands, 'add', 'add videos, or look at all files again', model=True)
    add.add_argument('videos', nargs='*', help='as for build; none: look at all files again')
    remove = _add_command(commands, 'remove', 'remove videos', model=False)
    remove.add_argument('videos', nargs='+', help='their paths')
    query = _add_command(commands, 'query', 'find videos', model=True)
    query.add_argument('queries', nargs='*', metavar='QUERY', help='a text, or the path of a video')
    query.add_argument('--interactive', action='store_true', help='read queries from the terminal')
    query.add_argument('--top', type=int, default=10, help='videos a query')
    query.add_argument('--candidates', type=int, default=400, help='videos that the model compares')
    query.add_argument('--csv', type=Path, help='write the hits to this file')
    _add_command(commands, 'info', 'say what an index holds', model=False)


def _add_command(commands: Any, name: str, text: str, *, model: bool) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.add_argument('index', type=Path, help='folder of the index')
    if model:
        parser.add_argument('--model', required=True, help='as mmstan.load takes it')
        parser.add_argument('--weights', help="checkpoint of a config, or 'pretrained'")
        parser.add_argument('--class-names', metavar='FILE', help="in the place of the config's")
        parser.add_argument('--device', default='auto', help='cpu, cuda, ...')
    return parser


def run(args: argparse.Namespace) -> None:
    """Do as the options say.

    Raises:
        ValueError: As :class:`SearchIndex` does.
        OSError: A file is missing or cannot be written.
    """
    # Here: parsing the options needs no PyTorch.
    from mmstan.apis.search.index import SearchIndex
    from mmstan.apis.tables import make_place

    if args.action == 'info':
        show_info(args.index)
    elif args.action == 'remove':
        changes = SearchIndex.open(args.index).remove(args.videos)
        print(f'{args.index}: {count_things(changes.removed, "video")} removed')
    elif args.action == 'build':
        index = SearchIndex.build(
            _load(args),
            args.videos,
            args.index,
            kind=args.kind,
            store=args.store,
            segments=args.segments,
        )
        print(f'{args.index}: {count_things(len(index), "video")}, kind {index.manifest.kind}')
    else:
        # The table is written in place: a file that is there, or a pipe, needs no folder.
        if args.action == 'query' and args.csv and (args.csv.is_dir() or not args.csv.exists()):
            make_place(args.csv)
        index = SearchIndex.open(args.index, _load(args))
        if args.action == 'add':
            changes = index.add(args.videos) if args.videos else index.refresh()
            print(f'{args.index}: {changes.added} added, {changes.removed} removed')
        else:
            answer(index, args)


def _load(args: argparse.Namespace) -> Any:
    from mmstan.apis.sources import load

    return load(args.model, args.weights, class_names=args.class_names, device=args.device)


def show_info(folder: Path) -> None:
    """Print the facts of an index, a line each."""
    from mmstan.apis.search.store import Store

    store = Store.read(folder)
    waiting = store.manifest.rows - store.manifest.indexed
    print(f'{folder}: {count_things(int(store.table.alive.sum()), "video")}, {waiting} not indexed')
    for key, value in asdict(store.manifest).items():
        if key not in ('generation', 'checks'):
            print(f'  {key}: {value}')


def answer(index: SearchIndex, args: argparse.Namespace) -> None:
    """Search for every query, and print or write the hits.

    Raises:
        ValueError: There is no query, or one cannot be searched.
    """
    if not args.queries and not args.interactive:
        raise ValueError('query: give a text or the path of a video, or --interactive')
    with _open_table(args.csv) if args.csv else nullcontext() as file:
        rows = file and _start_table(file)
        for query in [*args.queries, *(_ask() if args.interactive else ())]:
            _answer_one(index, query, args, rows)


def _answer_one(index: SearchIndex, query: str, args: argparse.Namespace, rows: Any) -> None:
    from mmstan.datasets.readers import BrokenVideoError

    try:
        hits = index.search(query, args.top, candidates=args.candidates)
    except (ValueError, BrokenVideoError) as error:
        if not args.interactive:
            raise
        print(f'error: {error}', file=sys.stderr)
        return
    print(format_hits(query, hits))
    for rank, hit in enumerate(hits, start=1):
        if rows:
            rows.writerow([query, rank, *asdict(hit).values()])


def format_hits(query: str, hits: list[Hit]) -> str:
    """The query, and a line for each hit."""
    lines = [f'{rank:>5}. {hit}  {hit.score:.4f}' for rank, hit in enumerate(hits, start=1)]
    return '\n'.join([query, *lines])


def _open_table(path: Path) -> TextIO:
    # A name on disk may be of any bytes.
    return open(path, 'w', newline='', encoding='utf-8', errors='surrogateescape')


def _start_table(file: TextIO) -> Any:
    rows = csv.writer(file)
    rows.writerow(['query', 'rank', *(field.name for field in fields(Hit))])
    return rows


def _ask() -> Iterator[str]:
    """Queries that the user types, until the end of the input."""
    while True:
        try:
            query = input('query> ').strip()
        except EOFError:
            return
        if query:
            yield query
