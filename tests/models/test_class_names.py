import json
from pathlib import Path

import pytest

from mmstan.models.heads import read_class_names

NAMES = ['air drumming', 'playing "kazoo", badly', 'küssen']


def write(folder: Path, kind: str) -> str:
    path = folder / f'names.{kind}'
    if kind == 'txt':
        text = '\n'.join(NAMES) + '\n'
    elif kind == 'csv':  # in another order, quoted where CSV needs it
        text = 'id,name\n2,küssen\n0,air drumming\n1,"playing ""kazoo"", badly"\n'
    else:
        text = json.dumps({NAMES[2]: '2', NAMES[0]: '0', NAMES[1]: 1})
    path.write_text(text, encoding='utf-8')
    return str(path)


@pytest.mark.parametrize('kind', ['txt', 'csv', 'json'])
@pytest.mark.parametrize('byte_order_mark', [False, True])
def test_files(kind: str, byte_order_mark: bool, tmp_path: Path) -> None:
    path = write(tmp_path, kind)
    if byte_order_mark:
        Path(path).write_text(Path(path).read_text('utf-8'), encoding='utf-8-sig')
    assert read_class_names(path) == NAMES


def test_names_themselves() -> None:
    assert read_class_names(NAMES) == NAMES
    assert read_class_names(tuple(NAMES)) == NAMES


@pytest.mark.parametrize(
    ('name', 'text', 'problem'),
    [
        ('gap.csv', 'id,name\n0,a\n2,b\n', 'the ids must be 0 to 1, each once'),
        ('twice.csv', 'id,name\n0,a\n0,b\n', 'the ids must be 0 to 1, each once'),
        ('from_1.json', '{"a": 1, "b": 2}', 'the ids must be 0 to 1, each once'),
        ('columns.csv', 'index,label\n0,a\n', 'is another kind of file; it holds one class name'),
        ('letters.csv', 'id,name\nfirst,a\n', 'is another kind of file'),
        ('list.json', '["a", "b"]', 'is another kind of file'),
        ('broken.json', '{"a": 0', 'is another kind of file'),
        ('blank.txt', 'a\n\nb\n', r'classes \[1\] have no name'),
        ('empty.txt', '', 'there are no name'),
    ],
)
def test_what_is_wrong_with_a_file(name: str, text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=problem) as error:
        read_class_names(str(tmp_path / name))
    assert name in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'names',
    [['1 brush_hair', '2 cartwheel'], ['0 a', '1 b', '2\tc'], [f'{i} x' for i in range(20)]],
)
@pytest.mark.parametrize('kind', ['file', 'list'])
def test_numbers_in_front(names: list[str], kind: str, tmp_path: Path) -> None:
    (tmp_path / 'classInd.txt').write_text('\n'.join(names))
    source = str(tmp_path / 'classInd.txt') if kind == 'file' else names
    with pytest.raises(
        ValueError, match=f'its own number \\({names[0]!r}\\).*remove the num'
    ) as error:
        read_class_names(source)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'names', [['0', '1', '2'], ['1 apple', 'no apple'], ['2 a', '3 b'], ['0 a', '2 b'], ['1 egg']]
)
def test_numbers_that_belong_to_the_names(names: list[str]) -> None:
    assert read_class_names(names) == names


@pytest.mark.parametrize('names', [[], ['a', ' ']])
def test_names_that_are_none(names: list[str]) -> None:
    with pytest.raises(ValueError, match='no name'):
        read_class_names(names)


def test_missing_file() -> None:
    with pytest.raises(FileNotFoundError, match='there is no such file; it holds one class name'):
        read_class_names('nowhere/label_map.txt')
