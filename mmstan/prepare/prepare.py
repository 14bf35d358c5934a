"""The stages of ``mmstan prepare``, one after the other."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from mmstan.prepare.check import check_videos
from mmstan.prepare.class_names import ClassNames, match_classes, name_classes
from mmstan.prepare.config import DEFAULTS, check_class_names, load_config
from mmstan.prepare.encode import Encoding, encode_videos
from mmstan.prepare.entries import SPLITS, Entry, LeftOut, Source, Split
from mmstan.prepare.files import STATE, Outputs, claim_folder
from mmstan.prepare.folder import read_folder
from mmstan.prepare.lists import is_listable
from mmstan.prepare.outputs import NAMES, Prepared, make_texts
from mmstan.prepare.report import find_copies
from mmstan.prepare.settings import Settings
from mmstan.prepare.split import Shares, check_shares, divide, group_by_name
from mmstan.prepare.table import read_table
from mmstan.prepare.work import Work, check_counts, count_videos
from mmstan.wording import count_things, name_a_few

_SHARES = (0.8, 0.1, 0.1)
_ENCODED = 'encoded'


def prepare(settings: Settings, say: Callable[[str], None] = print) -> None:
    """Make lists, class names, a report and a config of a folder or table of videos.

    Args:
        settings: See the class.
        say: Is given one line a stage.

    Raises:
        ValueError: The source, an option or the remaining classes are not as they must be.
        OSError: A file or folder is missing or cannot be written.
    """
    shares = check_shares(_SHARES if settings.split is None else settings.split)
    if settings.jobs < 1:
        raise ValueError(f'--jobs {settings.jobs} must be at least 1')
    source = _read_source(settings)
    config = settings.config or DEFAULTS[source.has_captions]
    cfg = load_config(config, captions=source.has_captions)
    work = Work(source, source.entries, list(source.left_out))
    classes = _find_classes(work, settings)
    _refuse_unused_options(settings, source)
    if classes is not None:
        check_class_names(cfg, classes.names)
    check_counts(work, classes)
    say(_describe_source(work, classes))
    with claim_folder(settings.out):
        outputs = Outputs(settings.out, NAMES)
        say(_check(work, settings))
        check_counts(work, classes)
        _refuse_losses(work, settings)
        say(_encode(work, settings))
        check_counts(work, classes)
        _refuse_losses(work, settings)
        splits, notes = _divide(work, settings, shares)
        sizes = Counter(splits.values())
        listed = ', '.join(f'{sizes[split]} {split}' for split in SPLITS if sizes[split])
        say(f'split     {listed}; {"; ".join(notes)}')
        prepared = Prepared(
            work.source, splits, work.files, work.facts, classes, work.left_out, notes,
            settings.encode, os.path.join(os.path.abspath(settings.out), _ENCODED),
        )  # fmt: skip
        texts = make_texts(prepared, cfg, config, settings.out)
        outputs.write(texts)
    say(f'written   {settings.out}: {", ".join(texts)}')
    say(f'next      python tools/train.py {shlex.quote(str(settings.out / "config.py"))}')


def _read_source(settings: Settings) -> Source:
    path, out = settings.source, os.path.realpath(settings.out)
    if not path.exists():
        raise FileNotFoundError(f'{path}: there is neither such a folder nor such a table')
    if not path.is_dir():
        return read_table(path)
    real = os.path.realpath(path)
    if os.path.join(out, '').startswith(os.path.join(real, '')):
        raise ValueError(
            f'--out {settings.out} lies in {path}, which would read it as a class next time; give '
            'a folder elsewhere'
        )
    return read_folder(path)


def _find_classes(work: Work, settings: Settings) -> ClassNames | None:
    """The classes of the labels; videos of others are left out. None for captions."""
    labels = [entry.label for entry in work.entries if entry.label is not None]
    if not labels:
        if settings.classes:
            raise ValueError('--classes: the videos have captions and no labels; leave it out')
        return None
    distinct = sorted(set(labels))
    if settings.classes is None:
        classes = name_classes(distinct, keep=settings.keep_names)
    else:
        classes = match_classes(distinct, settings.classes, keep=settings.keep_names)
    others = {
        entry: f'--classes does not name {entry.label}'
        for entry in work.entries
        if entry.label not in classes.numbers
    }
    work.leave_out(others)
    work.source.notes += classes.notes
    return classes


def _refuse_unused_options(settings: Settings, source: Source) -> None:
    if any(entry.split == 'val' for entry in source.entries):
        for name, value in (('--split', settings.split), ('--group', settings.group)):
            if value is not None:
                raise ValueError(
                    f'{name} divides videos, and {source.path} has its own splits; leave it out'
                )


def _refuse_losses(work: Work, settings: Settings) -> None:
    if settings.strict and work.left_out:
        raise ValueError(
            f'--strict: {count_things(len(work.left_out), "video")} cannot be used: '
            + name_a_few((f'{name}: {reason}' for name, reason in work.left_out), most=3)
        )


def _describe_source(work: Work, classes: ClassNames | None) -> str:
    source = work.source
    kinds = f'{len(classes.names)} classes' if classes else 'captions'
    given = sorted({entry.split for entry in work.entries if entry.split})
    notes = [f'splits {", ".join(given)}' if given else 'no splits', *source.notes]
    if work.left_out:
        notes.append(f'left out: {_name_left_out(work.left_out)}')
    return f'read      {source.path}: {count_videos(work.entries)}, {kinds}; {"; ".join(notes)}'


def _name_left_out(left_out: Sequence[LeftOut]) -> str:
    listed = name_a_few((f'{name}: {reason}' for name, reason in left_out), most=3)
    return f'{len(left_out)} ({listed})'


def _check(work: Work, settings: Settings) -> str:
    """Open every video; those that cannot be read are left out."""
    before, total = len(work.left_out), len(work.entries)
    paths = [entry.path for entry in work.entries]
    work.facts, known = check_videos(paths, settings.out / STATE / 'checks.jsonl', settings.jobs)
    problems, cut = {}, 0
    for entry in work.entries:
        fact = work.facts[entry.path]
        if entry.line and not os.path.exists(entry.path):
            root = work.source.root
            problems[entry] = f'there is no such file; paths are relative to {root}'
        elif fact.problem:
            problems[entry] = fact.problem
        elif entry.start >= fact.seconds:
            problems[entry] = f'ends at {fact.seconds:.2f} s, before its part begins'
        elif not settings.encode and not entry.is_part and not is_listable(entry.path):
            problems[entry] = 'has a name that no list can hold; rename it, or use --encode'
        elif entry.end is not None and entry.end > fact.seconds + 1 / fact.fps:
            cut += 1
    work.leave_out(problems)
    said = [f'{len(work.entries)} of {total} can be used']
    if known:
        said.append(f'{count_things(known, "file")} checked before')
    if len(work.left_out) > before:
        said.append(f'broken or outside: {_name_left_out(work.left_out[before:])}')
    if cut:
        work.source.notes.append(f'parts that end after their video, and now with it: {cut}')
        said.append(work.source.notes[-1])
    if copies := find_copies(work.entries, work.facts):
        first = ' = '.join(entry.name for entry in copies[0])
        said.append(f'{count_things(len(copies), "video")} in several copies ({first})')
    return f'checked   {"; ".join(said)}'


def _encode(work: Work, settings: Settings) -> str:
    """Encode videos, and parts in any case; the others stay where they are."""
    work.files = {entry: entry.path for entry in work.entries}
    encoding = settings.encode or Encoding(short_side=None)
    wanted = [entry for entry in work.entries if settings.encode or entry.is_part]
    if not wanted:
        return 'encoded   nothing (--encode makes videos small and quick to read)'
    folder = Path(os.path.abspath(settings.out), _ENCODED)
    made, problems, known = encode_videos(wanted, work.facts, encoding, folder, settings.jobs)
    work.leave_out(problems)
    work.files |= made
    said = f'encoded   {count_videos(list(made))} ({encoding}), {known} of them before'
    if problems:
        said += f'; broken: {_name_left_out(work.left_out[-len(problems) :])}'
    return said


def _divide(work: Work, settings: Settings, shares: Shares) -> tuple[dict[Entry, Split], list[str]]:
    """The split of each video, and sentences on how it was found."""
    given = {entry: entry.split for entry in work.entries if entry.split is not None}
    if 'val' in given.values():
        return given, [f'as {work.source.path} has them']
    free = [entry for entry in work.entries if entry.split in (None, 'train')]
    groups: dict[Entry, list[str]] = {
        entry: [f'bytes {work.facts[entry.path].sha1}'] for entry in free
    }
    rules = [f'seed {settings.seed}', 'by class'] if free[0].label else [f'seed {settings.seed}']
    notes = []
    if settings.group is not None:
        found, unmatched = group_by_name(free, settings.group)
        for entry, name in found.items():
            groups[entry].append(name)
        rules.append(f'{len(set(found.values()))} groups whole')
        if unmatched:
            notes.append(f'names that --group does not fit, a group each: {unmatched}')
    if given:
        shares = (shares[0] / sum(shares[:2]), shares[1] / sum(shares[:2]), 0.0)
        rules.append('validation taken from training')
    splits = {**given, **divide(free, groups, shares, settings.seed)}
    return {entry: splits[entry] for entry in work.entries}, [', '.join(rules), *notes]
