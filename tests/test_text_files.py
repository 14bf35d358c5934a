"""Text files as editors, spreadsheets, other systems and people leave them."""

import re
from pathlib import Path
from typing import Any

import pytest

from mmstan.text_files import Repeated, TextFile

TABLE = [('1', 'a man, who sings'), ('2', 'café "Nord" opens')]


def text_file(folder: Path, content: str | bytes) -> TextFile:
    path = folder / 'file'
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return TextFile('ann_file', str(path))


def refuse(file: TextFile, reader: str, message: str, *arguments: str) -> None:
    """The reader raises one line that begins with argument and file."""
    place = re.escape(f'ann_file={file.path!r}')
    with pytest.raises(ValueError, match=f'^{place}{message}') as error:
        getattr(file, reader)(*arguments)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('content', 'lines'),
    [
        ('a b\nc\n', [(1, 'a b'), (2, 'c')]),
        ('a\r\nb\r\n', [(1, 'a'), (2, 'b')]),
        ('a\rb', [(1, 'a'), (2, 'b')]),
        ('\ufeffa\n\n \t\nb\n\n', [(1, 'a'), (4, 'b')]),
        ('a\n\ufeffb\n', [(1, 'a'), (2, 'b')]),  # two files joined
        (' a\t0 \n', [(1, ' a\t0 ')]),
        ('a\u2028b\x0bc\x85d\n', [(1, 'a\u2028b\x0bc\x85d')]),  # no line ends
        ('', []),
    ],
)
def test_lines(content: str, lines: list[tuple[int, str]], tmp_path: Path) -> None:
    assert text_file(tmp_path, content).read_lines() == lines


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('a\n'.encode('utf-16'), ': it is in UTF-16; save it as UTF-8'),
        ('a\n'.encode('utf-32'), ': it is in UTF-32; save it as UTF-8'),
        (
            'a\n'.encode('utf-16-le'),
            r", line 1: it has the character '\\x00' in 'a\\x00', which is",
        ),
        ('a\ncafé\n'.encode('cp1252'), ", line 2: byte 0xe9 in 'café' is not UTF-8; save the file"),
        (b'a\r\nb\rc\x00d', r", line 3: it has the character '\\x00' in 'c\\x00d'"),
    ],
)
def test_other_encodings_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    for reader in ('read_text', 'read_lines', 'read_table', 'read_json'):
        refuse(text_file(tmp_path, content), reader, message)


@pytest.mark.parametrize('delimiter', [',', '\t', ';'])
@pytest.mark.parametrize('line_end', ['\n', '\r\n', '\r'])
@pytest.mark.parametrize('mark', ['', '\ufeff'])
def test_tables(delimiter: str, line_end: str, mark: str, tmp_path: Path) -> None:
    rows = ['id{0} text', '', '1{0}"a man, who sings"', '{0}', '2{0} "café ""Nord"" opens"', '']
    content = mark + line_end.join(rows).format(delimiter)
    table = text_file(tmp_path, content).read_table('text', 'id')
    assert [(row.fields['id'], row.fields['text']) for row in table] == TABLE
    assert [row.line for row in table] == [3, 5]


def test_a_field_of_two_lines(tmp_path: Path) -> None:
    table = text_file(tmp_path, 'id,text\n1,"a\nman"\n2,b\n').read_table('id')
    assert [row.fields['text'] for row in table] == ['a\nman', 'b']
    assert [row.line for row in table] == [2, 4]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (
            'id,text\n1,a man, who sings\n',
            r", line 2: \['1', 'a man', 'who sings'\] has 3 fields, ",
        ),
        ('id,text\n\n1\n', r", line 3: \['1'\] has 1 fields, and the header 2 \(id, text\)"),
        ('id,txt\n1,a\n', ': its first line must name the columns id, text, but lacks text: '),
        ('', ': its first line must name the columns id, text, but lacks id, text: '),
        ('id,text,id\n1,a,2\n', ': it has the column id twice'),
        ('id,text\n1,"a\n2,b"\n', r', line 2: a field goes on in the next line .*close the'),
        ('id,text\n1,"a\n2,b\n', ', line 2: .*is a quotation mark not closed'),
        ('id,text\n1,b\n2,"a" b\n', ', line 3: .*is a quotation mark not closed'),
        pytest.param('id,text\n1,' + 'a' * 140_000, ', line 2: field larger', id='large'),
    ],
)
def test_tables_that_are_refused(content: str, message: str, tmp_path: Path) -> None:
    refuse(text_file(tmp_path, content), 'read_table', message, 'id', 'text')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (
            '{"a": 1}\n{"a": 2}\n',
            r', line 2: it is not JSON \(one object a line\? give one for all\)',
        ),
        ('{"a":\n"b"', r", line 2: it is not JSON: Expecting ',' delimiter, column 4 of '\"b\"'"),
        ('', ', line 1: it is not JSON: Expecting value'),
        ('[NaN]', ': it is not JSON for annotations: NaN is no value of JSON'),
        ('[-Infinity]', ': .*-Infinity is no value of JSON'),
        ('{"a": 1,\n "b": 2,\n "a": 3}', ", line 3: the key 'a' stands 2 times in one object"),
        ('[{"x": {"a": 1, "a": 1}}]', ", line 1: the key 'a' stands 2 times"),
        pytest.param('[' * 100_000, ': .*it is nested too deeply', id='deep'),
        pytest.param('{"a":' * 100_000, ': .*it is nested too deeply', id='deep objects'),
        pytest.param('1' * 5000, ': .*it is not JSON for annotations: Exceeds', id='long number'),
    ],
)
def test_json_that_is_refused(content: str, message: str, tmp_path: Path) -> None:
    refuse(text_file(tmp_path, content), 'read_json', message)


@pytest.mark.parametrize('content', ['\ufeff{"a": ["é"]}', '\r\n{"a":\r\n["\\u00e9"]}\r\n'])
def test_json(content: str, tmp_path: Path) -> None:
    assert text_file(tmp_path, content).read_json() == {'a': ['é']}


def test_repeated_keys_are_collected(tmp_path: Path) -> None:
    file = text_file(tmp_path, '{"a": 1, "b": 2, "a": [3]}')
    found: dict[str, Any] = file.read_json(collect=True)
    assert found == {'a': [1, [3]], 'b': 2}
    assert isinstance(found['a'], Repeated)
    nested = text_file(tmp_path, '{"a": 1, "a": {"c": 1, "c": 2}}')
    with pytest.raises(ValueError, match="the key 'c' stands 2 times"):
        nested.read_json(collect=True)


def test_errors_of_a_file_that_a_command_is_given(tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_bytes(b'\xff')
    with pytest.raises(ValueError, match=rf'^{tmp_path}/list\.txt, line 1: byte 0xff'):
        TextFile('', f'{tmp_path}/list.txt').read_text()
    with pytest.raises(OSError, match=r'none\.txt'):
        TextFile('', f'{tmp_path}/none.txt').read_text()
