"""AVA's text files: as distributed, as people write them, and what errors say."""

from pathlib import Path

import numpy as np
import pytest

from mmstan.datasets.ava_files import make_frame, name_frame, read_annotations, read_excluded
from mmstan.datasets.key_frames import drop_excluded, group_persons, number_actions
from mmstan.datasets.label_maps import read_label_map

GOOD = 'v,0902,0.1,0.2,0.3,0.4,12,0\n'


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / 'file.csv'
    path.write_text(text)
    return str(path)


def refused(tmp_path: Path, text: str) -> str:
    path = write(tmp_path, text)
    with pytest.raises(ValueError) as error:
        read_annotations('ann_file', path)
    message = str(error.value)
    assert '\n' not in message
    assert message.startswith(f'ann_file={path!r}')
    return message


def test_rows_of_one_box_are_a_person(tmp_path: Path) -> None:
    text = GOOD + GOOD.replace(',12,', ',17,') + 'v,0902,0.5,0.2,0.9,0.4,1,3\nv,903,0,0,1,1,2,3\n'
    annotations = read_annotations('ann_file', write(tmp_path, text))
    persons = group_persons(annotations, number_actions(annotations, 81))
    first, second = persons['v', 902]
    assert (first.box, first.actions, first.entity) == ((0.1, 0.2, 0.3, 0.4), [12, 17], 0)
    assert (second.actions, second.entity, second.line) == ([1], 3, 3)
    assert [person.line for person in persons['v', 903]] == [4]


def test_without_ids_of_persons_they_are_numbered(tmp_path: Path) -> None:
    text = 'v,1,0,0,1,1,1\nv,1,0,0,0.5,1,1\nv,2,0,0,1,1,1\n'
    annotations = read_annotations('ann_file', write(tmp_path, text))
    persons = group_persons(annotations, annotations.actions)
    assert [person.entity for person in persons['v', 1]] == [0, 1]
    assert [person.entity for person in persons['v', 2]] == [0]


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        (
            'v,902,24,20,120,200,1,0',
            'line 2: the box (24, 20, 120, 200) has a value outside',
        ),
        ('v,902,0.3,0.2,0.3,0.4,1,0', 'line 2: the box (0.3, 0.2, 0.3, 0.4) has no area'),
        ('v,902,0.3,0.6,0.5,0.4,1,0', 'line 2: the box (0.3, 0.6, 0.5, 0.4) has no area'),
        ('v,902,0.1,0.2,0.3,0.4,0,0', 'line 2: the action 0 must be 1 or more'),
        ('v,902,0.1,0.2,0.3,0.4,run,0', "line 2: the action 'run' is not a whole number"),
        ('v,902,0.1,0.2,0.3,0.4,1,x', "line 2: the entity 'x' is not a whole number"),
        ('v,902,0.1,wide,0.3,0.4,1,0', "line 2: 'wide' in 'v,902,0.1,wide,0.3,0.4,1,0' is no num"),
        ('v,902,nan,0.2,0.3,0.4,1,0', "line 2: 'nan' in"),
        ('v,9:02,0.1,0.2,0.3,0.4,1,0', "line 2: the time '9:02' is not a number of seconds"),
        ('v,902,0.1,0.2,0.3,0.4,1', "line 2: 'v,902,0.1,0.2,0.3,0.4,1' has 7 columns, and line 1"),
        (',902,0.1,0.2,0.3,0.4,1,0', "line 2: '' must be the name of a video"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    assert message in refused(tmp_path, GOOD + line)


def test_pixels_are_explained(tmp_path: Path) -> None:
    message = refused(tmp_path, 'v,902,24,20,120,200,1,0')
    assert "divide x1, x2 by the video's width and y1, y2 by its height" in message


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'it has no line; give a csv with the columns video,timestamp,x1,y1,x2,y2,action'),
        ('v,1,0,0,1,1\n', "line 1: 'v,1,0,0,1,1' has 6 columns; expected video,timestamp"),
        (
            'video,timestamp,x1,y1,x2,y2,action,entity\n',
            "'timestamp' is not a number of seconds (is",
        ),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text)


def test_an_action_above_the_classes_is_named(tmp_path: Path) -> None:
    annotations = read_annotations('ann_file', write(tmp_path, GOOD.replace(',12,', ',1,') + GOOD))
    with pytest.raises(ValueError, match='line 2: the action 12 is none of 1 to 4; num_classes is'):
        number_actions(annotations, 5)


def test_custom_classes_become_columns(tmp_path: Path) -> None:
    text = GOOD + GOOD.replace(',12,', ',3,') + GOOD.replace(',12,', ',80,')
    annotations = read_annotations('ann_file', write(tmp_path, text))
    known = {3: 'a', 12: 'b', 80: 'c'}
    assert number_actions(annotations, 3, [80, 12], known).tolist() == [2, 0, 1]
    with pytest.raises(ValueError, match=r'custom_classes=\[80, 11\]: 11 is not in the label map'):
        number_actions(annotations, 3, [80, 11], known)
    with pytest.raises(ValueError, match='set num_classes=3'):
        number_actions(annotations, 81, [80, 12], known)
    with pytest.raises(ValueError, match='must be different ids'):
        number_actions(annotations, 3, [12, 12], known)


def test_label_map_and_lines_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    annotations = read_annotations('ann_file', write(tmp_path, GOOD + GOOD.replace(',12,', ',3,')))
    with pytest.raises(ValueError, match='num_classes=13 is too small for label_file'):
        number_actions(annotations, 13, None, {12: 'a', 13: 'b'})
    with pytest.raises(ValueError, match='its actions are 3, 12, and label_file has 5: the two'):
        number_actions(annotations, 13, None, {5: 'a'})
    said: list[str] = []
    monkeypatch.setattr('mmstan.datasets.key_frames.print_log', lambda text, _: said.append(text))
    number_actions(annotations, 13, None, {12: 'a'})
    assert said[0].startswith('1 of 2 lines')
    assert 'have actions that label_file lacks (3)' in said[0]


def test_excluded_frames(tmp_path: Path) -> None:
    path = write(tmp_path, 'v,0902\nw,7\n')
    assert read_excluded('exclude_file', path) == {('v', 902), ('w', 7)}
    assert drop_excluded([('v', 902), ('v', 7)], 'exclude_file', path) == [('v', 7)]
    with pytest.raises(ValueError, match='leaves out all 1 key frames; is it the file of another'):
        drop_excluded([('v', 902)], 'exclude_file', path)
    with pytest.raises(ValueError, match="line 1: 'v' must be 'video,timestamp'"):
        read_excluded('exclude_file', write(tmp_path, 'v\n'))


@pytest.mark.parametrize(
    'text',
    [
        'item {\n  name: "bend (at the waist)"\n  id: 1\n}\nitem {\n  name: "walk"\n  id: 14\n}\n',
        'label {\n  name: "bend (at the waist)"\n  label_id: 1\n  label_type: PERSON_MOVEMENT\n}\n'
        'label {\n\tname: "walk"\n\tlabel_id: 14\n}',
        '1: bend (at the waist)\n14: walk\n',
        "item { \r\nid:1\r\nname: 'bend (at the waist)'\r\n}\r\n\r\n"
        'item{\r\nid: 14\r\nname:"walk"\r\n}',
    ],
)
def test_forms_of_a_label_map(tmp_path: Path, text: str) -> None:
    names = read_label_map('label_file', write(tmp_path, text))
    assert names == {1: 'bend (at the waist)', 14: 'walk'}


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('item {\n  name: "a"\n}\n', "line 1: the block has no 'id:' or 'label_id:'; add one"),
        ('1: a\n1: b\n', 'line 2: the id 1 comes twice; leave one'),
        ('0: a\n', "line 1: the id '0' is not a whole number from 1 on"),
        ('walk\n', "line 1: 'walk' must be 'id: name'"),
        ('', "it has no action; write a line '1: name' for each"),
    ],
)
def test_a_wrong_label_map(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        read_label_map('label_file', write(tmp_path, text))
    assert message in str(error.value)


def test_whole_seconds_are_whole(tmp_path: Path) -> None:
    text = 'v,2.0,0,0,1,1,1\nv,2.5,0,0,1,1,1\n'
    annotations = read_annotations('ann_file', write(tmp_path, text))
    assert annotations.frames == [('v', 2), ('v', 2.5)]
    np.testing.assert_array_equal(annotations.boxes, [[0, 0, 1, 1]] * 2)


@pytest.mark.parametrize(
    ('seconds', 'name'),
    [(902, 'a,0902'), (1234.567, 'a,1234.567'), (9999999.25, 'a,9999999.25'), (0.001, 'a,0.001')],
)
def test_a_name_keeps_the_thousandths(seconds: float, name: str, tmp_path: Path) -> None:
    frame = make_frame('a', seconds)
    assert name_frame(frame) == name
    assert read_excluded('exclude_file', write(tmp_path, name)) == {frame}
