"""What was found and done, as a page of markdown."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from mmstan.prepare.check import Facts
from mmstan.prepare.class_names import ClassNames
from mmstan.prepare.entries import SPLITS, Entry, LeftOut, Source, Split, find_split
from mmstan.wording import count_things, markdown_table, name_a_few

_SHORTEST = 5


def find_copies(entries: Sequence[Entry], facts: Mapping[str, Facts]) -> list[list[Entry]]:
    """Sets of entries whose files have the same bytes, each path once."""
    by_digest: dict[str, dict[str, Entry]] = defaultdict(dict)
    for entry in entries:
        by_digest[facts[entry.path].sha1].setdefault(entry.path, entry)
    return [[*same.values()] for same in by_digest.values() if len(same) > 1]


def describe_copies(copies: Sequence[Sequence[Entry]], splits: Mapping[Entry, Split]) -> list[str]:
    """A sentence for each set of copies; says where they disagree."""
    sentences = []
    for same in copies:
        labels = sorted({entry.label for entry in same if entry.label is not None})
        parts = sorted({splits[entry] for entry in same if entry in splits})
        doubt = f'; **their labels differ**: {name_a_few(labels)}' if len(labels) > 1 else ''
        doubt += f'; **they are in several splits**: {name_a_few(parts)}' if len(parts) > 1 else ''
        sentences.append(' = '.join(entry.name for entry in same) + doubt)
    return sentences


def find_shared_videos(splits: Mapping[Entry, Split]) -> list[str]:
    """Names that two splits have: the same path below the splits' folders, or the same file."""
    places: dict[str, set[Split]] = defaultdict(set)
    for entry, split in splits.items():
        first, slash, rest = entry.name.partition('/')
        in_folder = entry.split and slash and entry.line is None and find_split(first)
        places[rest if in_folder else entry.name].add(split)
    return [
        f'{name} ({", ".join(sorted(found))})' for name, found in places.items() if len(found) > 1
    ]


def write_report(
    source: Source,
    splits: Mapping[Entry, Split],
    facts: Mapping[str, Facts],
    classes: ClassNames | None,
    sections: Mapping[str, Sequence[str]],
) -> str:
    """The text of ``report.md``.

    Args:
        source: Where the videos come from.
        splits: Every video that a list has.
        facts: By path.
        classes: None for captions.
        sections: Further headings and their sentences; empty sections say so.
    """
    captions = sum(len(entry.captions) for entry in splits)
    kinds = f'{len(classes.names)} classes' if classes else count_things(captions, 'caption')
    lines = [
        f'# {source.path}',
        '',
        f'{count_things(len(splits), "video")}, {kinds}.',
        '',
        _describe_sizes([facts[entry.path] for entry in splits]),
        '',
        _count_splits(splits, facts, classes),
    ]
    for title, sentences in sections.items():
        lines += ['', f'## {title}', '', *([f'- {text}' for text in sentences] or ['None.'])]
    lines += ['', '## Shortest', '', *_list_shortest(splits, facts)]
    return '\n'.join(lines) + '\n'


def list_left_out(left_out: Sequence[LeftOut]) -> list[str]:
    """Name and reason of each, sorted."""
    return [f'{name}: {reason}' for name, reason in sorted(left_out)]


def _describe_sizes(facts: Sequence[Facts]) -> str:
    """Spread of seconds and frame rates, and how many files have each size."""
    rows = []
    for title, values in (
        ('seconds', [fact.seconds for fact in facts]),
        ('frames', [fact.frames for fact in facts]),
        ('frames a second', [fact.fps for fact in facts]),
    ):
        spread = (min(values), statistics.median(values), max(values))
        rows.append([title, *(f'{value:.6g}' for value in spread)])
    sizes = Counter((fact.width, fact.height) for fact in facts)
    common = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    listed = name_a_few(f'{count} x {width} x {height}' for (width, height), count in common)
    table = markdown_table(['whole files', 'least', 'median', 'most'], rows, align='lrrr')
    return f'{table}\n\nSizes in pixels, width x height: {listed}.'


def _count_splits(
    splits: Mapping[Entry, Split], facts: Mapping[str, Facts], classes: ClassNames | None
) -> str:
    """A row a class: label number, name, videos of each split, seconds."""
    names = classes.names if classes else ['videos with captions']
    counts: Counter[tuple[int, Split]] = Counter()
    seconds = [0.0] * len(names)
    for entry, split in splits.items():
        number = classes.numbers[entry.label or ''] if classes else 0
        counts[number, split] += 1
        whole = facts[entry.path].seconds
        seconds[number] += min(entry.end or whole, whole) - entry.start
    rows: list[list[object]] = [
        [i if classes else '', name, *(counts[i, split] for split in SPLITS), f'{seconds[i]:.1f}']
        for i, name in enumerate(names)
    ]
    totals = [sum(counts[i, split] for i in range(len(names))) for split in SPLITS]
    rows.append(['', '**all**', *totals, f'{sum(seconds):.1f}'])
    return markdown_table(['label', 'class', *SPLITS, 'seconds'], rows, align='rlrrrr')


def _list_shortest(splits: Mapping[Entry, Split], facts: Mapping[str, Facts]) -> list[str]:
    found = {entry.path: entry.name for entry in splits}
    order = sorted(found, key=lambda path: (facts[path].frames, found[path]))
    return [
        f'- {found[path]}: {facts[path].frames} frames, {facts[path].seconds:.2f} s'
        for path in order[:_SHORTEST]
    ]
