"""Files of person boxes: three formats, the threshold, hostile pickles, and what errors say."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from helpers.hostile_pickles import HOSTILE

from mmstan.datasets.person_boxes import read_person_boxes

ROWS = {
    ('v', 902): [[0.1, 0.2, 0.3, 0.4, 0.95], [0.5, 0.2, 0.9, 0.4, 0.9]],
    ('w', 7): [[0.0, 0.0, 1.0, 1.0, 0.6]],
}
LINES = """v,0902,0.1,0.2,0.3,0.4,0.95
v,0902,0.1,0.2,0.3,0.5,0.2
v,0902,0.5,0.2,0.9,0.4,0.9
w,0007,0,0,1,1,0.6
w,0007,0,0,1,1,0.3
"""


def write(tmp_path: Path, contents: str | bytes, name: str = 'boxes.csv') -> str:
    path = tmp_path / name
    path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    return str(path)


def as_pickle(protocol: int) -> bytes:
    found: dict[str, list[list[float]]] = {}
    for line in LINES.splitlines():
        video, time, *numbers = line.split(',')
        found.setdefault(f'{video},{time}', []).append([float(x) for x in numbers])
    return pickle.dumps({key: np.array(rows) for key, rows in found.items()}, protocol)


def slowfast() -> str:
    """Each box once for each of its labels, and once without any."""
    lines = [line.rsplit(',', 1) for line in LINES.splitlines()]
    return ''.join(f'{box},{label},{score}\n' for box, score in lines for label in ('', '12', '17'))


@pytest.mark.parametrize(
    ('name', 'contents'),
    [
        ('boxes.csv', LINES),
        ('slowfast.csv', slowfast()),
        *((f'protocol_{n}.pkl', as_pickle(n)) for n in (0, 2, 4, 5)),
    ],
)
def test_formats_give_the_same_boxes(tmp_path: Path, name: str, contents: str | bytes) -> None:
    boxes, total = read_person_boxes('proposal_file', write(tmp_path, contents, name), score=0.9)
    assert total == 5
    assert boxes.keys() == ROWS.keys()
    for frame, rows in ROWS.items():  # of w the best one stays, though it is below 0.9
        assert boxes[frame].dtype == np.float32
        np.testing.assert_array_equal(boxes[frame], np.array(rows, np.float32))


def test_without_scores_all_boxes_are_persons(tmp_path: Path) -> None:
    boxes, _ = read_person_boxes('proposal_file', write(tmp_path, 'v,1,0,0,1,1\nv,1,0,0,0.5,1\n'))
    assert boxes['v', 1][:, 4].tolist() == [1, 1]
    data = pickle.dumps({'v,1': np.array([[0, 0, 1, 1.0]])})
    boxes, _ = read_person_boxes('proposal_file', write(tmp_path, data, 'x.pkl'))
    assert boxes['v', 1].tolist() == [[0, 0, 1, 1, 1]]


def test_a_missing_file_names_the_tool_and_the_other_way(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        read_person_boxes('proposal_file', str(tmp_path / 'none.pkl'))
    message = str(error.value)
    assert message.startswith(f'proposal_file={str(tmp_path / "none.pkl")!r} does not exist')
    assert 'tools/data/detect_persons.py' in message
    assert "test_boxes='ground_truth'" in message


class Attack:
    ran = False

    def __reduce__(self) -> tuple[object, ...]:
        return setattr, (Attack, 'ran', True)


def test_a_pickle_runs_no_code(tmp_path: Path) -> None:
    path = write(tmp_path, pickle.dumps({'v,1': Attack()}), 'attack.pkl')
    with pytest.raises(ValueError) as error:
        read_person_boxes('proposal_file', path)
    assert not Attack.ran
    message = str(error.value)
    assert 'it is not a pickle of arrays alone' in message
    assert 'write it as csv (video,timestamp,x1,y1,x2,y2,score a line)' in message


@pytest.mark.parametrize('name', HOSTILE)
def test_a_hostile_pickle_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, HOSTILE[name], 'hostile.pkl')
    with pytest.raises(ValueError) as error:
        read_person_boxes('proposal_file', path)
    assert str(error.value).startswith(f'proposal_file={path!r}')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('v,1,10,20,30,40,0.95', 'line 2: the box (10, 20, 30, 40) has a value outside [0, 1]'),
        ('v,1,0.3,0.2,0.1,0.4,0.95', 'line 2: the box (0.3, 0.2, 0.1, 0.4) has no area'),
        ('v,1,0.1,0.2,0.3,0.4,12', "line 2: the score '12' is not in [0, 1]; the columns are"),
        ('v,1,0.1,0.2,0.3,0.4,', "line 2: the score '' is not in [0, 1]"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path, f'u,1,0,0,1,1,1\n{line}\n')
    with pytest.raises(ValueError) as error:
        read_person_boxes('proposal_file', path)
    assert f'proposal_file={path!r}, {message}' in str(error.value)


@pytest.mark.parametrize(
    ('contents', 'message'),
    [
        ([1], "it must hold a dict of arrays by 'video,timestamp', not [1]"),
        ({'v': np.ones((0, 5))}, "the key 'v' must be 'video,timestamp'"),
        ({'v,1': np.zeros((1, 3))}, "the boxes of 'v,1' must be numbers (n, 5)"),
        ({'v,1': np.array([[9, 9, 20, 20, 1.0]])}, "divide x1, x2 by the video's width"),
        ({'v,1': np.array([[9, 9, 20, 20, 1.0]])}, "(key 'v,1')"),
        ({'v,1': np.array([[0, 0, 1, 1, 99.0]])}, "a score of 'v,1' is not in [0, 1]: [99.0]"),
    ],
)
def test_a_wrong_pickle_is_explained(tmp_path: Path, contents: object, message: str) -> None:
    path = write(tmp_path, pickle.dumps(contents), 'boxes.pkl')
    with pytest.raises(ValueError) as error:
        read_person_boxes('proposal_file', path)
    assert str(error.value).startswith(f'proposal_file={path!r}')
    assert message in str(error.value)


def test_a_key_frame_without_boxes(tmp_path: Path) -> None:
    path = write(tmp_path, pickle.dumps({'v,1': np.zeros((0, 5))}), 'boxes.pkl')
    boxes, total = read_person_boxes('proposal_file', path)
    assert boxes['v', 1].shape == (0, 5) and total == 0


def test_boxes_of_no_width_are_left_out(tmp_path: Path) -> None:
    text = 'v,1,0.999,0,0.999,1,0.99\nv,1,0,0,1,1,0.4\nw,1,0,1,1,1,0.99\n'
    boxes, total = read_person_boxes('proposal_file', write(tmp_path, text))
    assert total == 3
    np.testing.assert_array_equal(boxes['v', 1], np.array([[0, 0, 1, 1, 0.4]], np.float32))
    assert boxes['w', 1].shape == (0, 5)
