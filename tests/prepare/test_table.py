from pathlib import Path

import pytest

from mmstan.prepare.table import read_table


def write(folder: Path, text: str, encoding: str = 'utf-8') -> Path:
    path = folder / 'list.csv'
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize('delimiter', [',', ';', '\t', '|'])
@pytest.mark.parametrize(('encoding', 'end'), [('utf-8', '\n'), ('utf-8-sig', '\r\n')])
def test_delimiter_byte_order_mark_and_line_ends_are_no_matter(
    delimiter: str, encoding: str, end: str, tmp_path: Path
) -> None:
    rows = [['label', 'path'], ['a run', 'x, y.mp4' if delimiter != ',' else '"x, y.mp4"']]
    text = end.join(delimiter.join(row) for row in rows) + end
    (entry,) = read_table(write(tmp_path, text, encoding)).entries
    assert (entry.name, entry.label, entry.line) == ('x, y.mp4', 'a run', 2)
    assert entry.path == str(tmp_path / 'x, y.mp4')  # relative to the table


def test_splits_and_parts(tmp_path: Path) -> None:
    text = 'path,label,split,start,end\na.mp4,run,train,,\n./a.mp4,run,Validation,1.5,\n'
    whole, part = read_table(write(tmp_path, text + '/b.mp4,run,test,,2\n')).entries[:2]
    assert (whole.split, whole.is_part) == ('train', False)
    assert (part.path, part.split, part.start, part.end) == (whole.path, 'val', 1.5, None)
    assert str(part) == 'line 3: a.mp4 [1.5- s]'


def test_rows_of_one_video_are_joined(tmp_path: Path) -> None:
    text = 'path,caption\na.mp4,"A dog, running"\na.mp4,A cat\na.mp4,A cat\n'
    source = read_table(write(tmp_path, text))
    assert [entry.captions for entry in source.entries] == [('A dog, running', 'A cat')]
    assert source.has_captions
    assert source.notes == ['rows that say again what another row says: 1']


def test_other_columns_are_named(tmp_path: Path) -> None:
    source = read_table(write(tmp_path, 'path,label,fps,notes\na.mp4,run,25,x\n'))
    assert source.notes[0].endswith("list.csv that are not read: 'fps', 'notes'")


@pytest.mark.parametrize(
    ('text', 'problem'),
    [
        ('a.mp4,run\n', 'its first line must name the columns path, but lacks path'),
        ('path,label\n', 'it has a header and no row'),
        ('path,other\na,b\n', 'line 1: its first line names neither label nor caption'),
        ('path,label,caption\na,b,c\n', 'line 1: its first line names both label and caption'),
        ('path,labels\na,b\n', "line 1: the column 'labels': is it 'label'"),
        ('path,label,path\na,b,c\n', 'it has the column path twice'),
        ('path,label\na.mp4,\n', 'line 2: the row has no label'),
        ('path,label\n,run\n', 'line 2: the row has no path'),
        ('path,label\na.mp4,run,fast\n', 'line 2: .* has 3 fields, and the header 2'),
        ('path,label\na,x\na,y\n', "line 3: a has the label 'y' here and 'x' in line 2"),
        ('path,label,split\na,x,train\nb,x,\n', 'line 3: 1 row of 2 have no split'),
        ('path,caption,split\na,x,val\na,y,test\n', 'line 3: a has other captions in test than in'),
        ('path,label,split\na,x,dev\n', "line 2: split='dev' is none of train, val and test"),
        ('path,label,start\na,x,-1\n', "line 2: start='-1' is no number of seconds from 0 on"),
        ('path,label,end\na,x,inf\n', "line 2: end='inf' is no number of seconds"),
        ('path,label,start\na,x,0:01\n', "line 2: start='0:01' is no number of seconds"),
        ('path,label,start,end\na,x,2,2\n', 'line 2: the part begins at 2 s and ends at 2 s'),
    ],
)
def test_tables_that_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f'list.csv(, |: ){problem}'):
        read_table(write(tmp_path, text))


def test_a_table_of_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='it is in UTF-16; save it as UTF-8'):
        read_table(write(tmp_path, 'path,label\na,b\n', 'utf-16'))
