"""Write the names of verbs and nouns: ``python tools/data/epic_kitchens.py data/epic_kitchens``.

Reads ``EPIC_100_verb_classes.csv`` and ``EPIC_100_noun_classes.csv`` (columns ``id`` and ``key``)
and writes ``verbs.txt`` and ``nouns.txt`` in plain words for the text tower: ``turn-on`` becomes
``turn on``, ``board:chopping`` becomes ``chopping board``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmstan.models.heads.class_names import class_words
from mmstan.text_files import TextFile


def read_names(path: Path) -> list[str]:
    """The names in a csv of classes, in class order.

    Raises:
        ValueError: A column is missing, or the ids are not 0 to K - 1.
    """
    file = TextFile('', str(path))
    names: dict[int, str] = {}
    for line, fields in file.read_table('id', 'key'):
        number, name = fields['id'].strip(), class_words(fields['key'])
        if not (number.isascii() and number.isdecimal()) or int(number) in names or not name:
            raise file.error(
                f'{number!r}, {name!r} must be an id that no other row has and a name; give the '
                'csv as distributed',
                line=line,
            )
        names[int(number)] = name
    if not names or sorted(names) != list(range(len(names))):
        raise file.error(f'the ids must be 0 to {len(names) - 1}, each once')
    return [names[i] for i in range(len(names))]


def main() -> None:
    """Read the command line and write the names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data_root', type=Path, help='folder of the data set')
    root = parser.parse_args().data_root
    try:
        for kind in ('verb', 'noun'):
            names = read_names(root / f'EPIC_100_{kind}_classes.csv')
            out = root / f'{kind}s.txt'
            out.write_text('\n'.join(names) + '\n', 'utf-8')
            print(f'{out}: {len(names)} classes, {names[0]} to {names[-1]}')
    except (ValueError, OSError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
