import json
from pathlib import Path

import pytest

from mmstan.models.heads import read_class_names
from mmstan.models.heads.class_names import refuse_equal_texts

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


MAC = 'air drumming\rplaying "kazoo", badly\rküssen'
ROWS = ['0{}air drumming', '1{}"playing ""kazoo"", badly"', '2{}küssen']


@pytest.mark.parametrize(
    ('name', 'content'),
    [
        ('windows.txt', '\r\n'.join(NAMES).encode('utf-8-sig') + b'\r\n'),
        ('mac.txt', MAC.encode()),
        ('blank_around.txt', ('\n\n' + '\n'.join(NAMES) + '\n \n\n').encode()),
        ('blanks.txt', '\n'.join(f' {name}\t' for name in NAMES).encode()),
        ('names.CSV', '\r\n'.join(['id,name', *(r.format(',') for r in ROWS), '']).encode()),
        ('tabs.csv', '\n'.join(['id\tname', *(r.format('\t') for r in ROWS)]).encode()),
        ('semicolons.csv', '\n'.join(['id;name', *(r.format(';') for r in ROWS)]).encode()),
        ('blank_rows.csv', '\n\n'.join(['id,name', *(r.format(', ') for r in ROWS), ',']).encode()),
    ],
)
def test_what_editors_and_spreadsheets_write(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_class_names(str(tmp_path / name)) == NAMES


@pytest.mark.parametrize(
    ('name', 'text', 'problem'),
    [
        ('gap.csv', 'id,name\n0,a\n2,b\n', "line 3: the ids must be 0 to 1, each once; 2 of 'b'"),
        ('twice.csv', 'id,name\n0,a\n0,b\n', "line 3: the ids must be 0 to 1, each once; 0 of 'b'"),
        ('from_1.json', '{"a": 1, "b": 2}', 'the ids must be 0 to 1, each once, and .* start at 1'),
        ('from_1.csv', 'id,name\n1,a\n2,b\n', 'line 3: the ids .*start at 1'),
        ('columns.csv', 'index,label\n0,a\n', 'must name the columns id, name, but lacks id, name'),
        ('no_header.csv', '0,a\n1,b\n', 'must name the columns id, name'),
        ('letters.csv', 'id,name\nfirst,a\n', "line 2: the id 'first' is not a whole number"),
        ('points.csv', 'id,name\n0.0,a\n', "line 2: the id '0.0' is not a whole number"),
        ('commas.csv', 'id,name\n0,a, b\n', r"line 2: \['0', 'a', 'b'\] has 3 fields"),
        ('list.json', '["a", "b"]', 'is another kind of file, with a list; it holds one class'),
        ('turned.json', '{"0": "a", "1": "b"}', 'it holds {id: name}; turn it around'),
        ('null.json', '{"a": null}', 'the id None is not a whole number'),
        ('twice.json', '{"a": 0,\n"b": 1,\n"a": 2}', "line 3: the key 'a' stands 2 times"),
        ('broken.json', '{"a": 0', 'it is not JSON: Expecting'),
        ('json.txt', '{"a": 0}', 'line 1: it looks like JSON; call it .json'),
        ('blank.txt', 'a\n\nb\n', r'line 2: .*classes \[1\] have no name'),
        ('empty.txt', '', 'there are no name'),
        ('header.txt', 'id,name\n0,a\n1,b\n', "line 1: 'id,name' looks like a header"),
        ('header_alone.txt', 'name\na\nb\n', "line 1: 'name' looks like a header"),
        ('comment.txt', '# of UCF101\na\nb\n', "line 1: '# of UCF101' looks like a header or"),
        ('twice.txt', 'a\nb\n a\n', "line 3: the name 'a' is also that of class 0"),
        ('quotes.txt', '"a"\n"b"\n', 'line 1: "a" stands in quotation marks'),
        ('trailing.txt', 'a,\nb,\n', "line 1: 'a,' ends with ','"),
        ('ava.txt', '1: bend\n3: crouch\n', "begins with its own number .'1: bend'"),
        ('commas.txt', '0,a\n1,b\n', "begins with its own number .'0,a'"),
        ('tabs.txt', '0\ta\n1\tb\n', 'begins with its own number'),
        ('points.txt', '1. a\n2. b\n', 'begins with its own number'),
        ('padded.txt', '001_a\n002_b\n', 'begins with its own number'),
        ('behind.txt', 'a 0\nb 1\n', "ends with its own number .'a 0'"),
        ('list.txt', 'a/b.mp4 3\na/c.mp4 3\n', "'a/b.mp4 3' is of a list of videos"),
    ],
)
def test_what_is_wrong_with_a_file(name: str, text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=problem) as error:
        read_class_names(str(tmp_path / name))
    assert name in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('content', 'problem'),
    [
        ('küssen\n'.encode('cp1252'), r"line 1: byte 0xfc in 'küssen' is not UTF-8; save the file"),
        ('a\nb\n'.encode('utf-16'), 'it is in UTF-16; save it as UTF-8'),
        ('a\nb\n'.encode('utf-16-le'), r"line 1: it has the character '\\x00'"),
    ],
)
def test_other_encodings(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / 'names.txt').write_bytes(content)
    with pytest.raises(ValueError, match=rf'names\.txt.*{problem}'):
        read_class_names(str(tmp_path / 'names.txt'))


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


@pytest.mark.parametrize(
    ('names', 'problem'),
    [
        ([], 'no name'),
        (['a', ' '], r'classes \[1\] have no name'),
        (['a', 3], r'classes \[1\] have no name, but 3'),
        (['a', 'b', 'a'], "class 2: the name 'a' is also that of class 0"),
    ],
)
def test_names_that_are_none(names: list[str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_class_names(names)


def test_missing_file() -> None:
    with pytest.raises(FileNotFoundError, match='there is no such file; it holds one class name'):
        read_class_names('nowhere/label_map.txt')


def test_names_that_differ_by_their_numbers_alone_keep_them() -> None:
    names = [f'motion {i}' for i in range(4)]
    assert read_class_names(names) == names
    with pytest.raises(ValueError, match=r"ends with its own number \('run 0'\)"):
        read_class_names(['run 0', 'jump 1'])


@pytest.mark.parametrize('names', [['Run', 'sit', 'run'], ['high five', 'high  five']])
def test_names_that_are_one_text_are_refused_where_a_tower_reads_them(names: list[str]) -> None:
    assert read_class_names(names) == names  # a linear head tells them apart
    with pytest.raises(ValueError, match=f'{names[0]!r} and {names[-1]!r} are one text to the'):
        refuse_equal_texts(names)
