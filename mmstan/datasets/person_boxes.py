"""Person boxes of key frames that a detector found beforehand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from mmengine.fileio import exists

from mmstan.compat.closed import read_plain_pickle
from mmstan.datasets.annotation_files import normalise
from mmstan.datasets.ava_files import KeyFrame, check_boxes, make_frame, read_box_rows
from mmstan.text_files import TextFile
from mmstan.wording import show

Frames = Literal['annotated', 'proposals']
"""Which key frames a test has."""
TestBoxes = Literal['proposals', 'ground_truth']
"""Which boxes a test classifies."""

_COLUMNS = 'video,timestamp,x1,y1,x2,y2,score (or 8, with a label before the score)'
_TO_CSV = (
    'write it as csv (video,timestamp,x1,y1,x2,y2,score a line), which needs no trust, or make '
    'boxes with tools/data/detect_persons.py'
)


def read_person_boxes(
    argument: str,
    path: str,
    *,
    score: float = 0.9,
    sizes: Mapping[str, tuple[int, int]] | None = None,
) -> tuple[dict[KeyFrame, np.ndarray], int]:
    """Read the person boxes of key frames; returns them, and how many boxes the file has.

    Three formats are known:

    * csv without a header, ``video,timestamp,x1,y1,x2,y2,score`` a line; without the last column
      all scores are 1;
    * SlowFast's csv, ``video,timestamp,x1,y1,x2,y2,label,score`` a line; labels may be empty and
      are not used, and a box that comes once for each label counts once;
    * MMAction2's pickle, a dict of arrays (n, 5) or (n, 4) with keys such as ``'video,0902'``. It
      is read without running code of it.

    Args:
        argument: The argument that names the file, for messages.
        path: The file; a pickle is named ``.pkl``, ``.pickle`` or ``.p``.
        score: Boxes with at least this score are kept. Of a frame where no box has it, the best
            box is kept. Boxes of no width or no height are left out.
        sizes: Width and height of the videos whose boxes in a csv are in pixels; boxes of other
            videos are left out.

    Returns:
        By key frame, x1, y1, x2, y2 in [0, 1] and the score, float32 (n, 5), in the file's order.

    Raises:
        ValueError: The file is no such file, or a box that is kept is not in [0, 1] or turned over.
        FileNotFoundError: The file does not exist.
    """
    if not exists(path):
        raise FileNotFoundError(
            f'{argument}={path!r} does not exist; tools/data/detect_persons.py makes it of the '
            f'videos, or leave {argument} out: training then uses the annotated boxes alone, and '
            "a test does with test_boxes='ground_truth'"
        )
    if re.search(r'\.(pkl|pickle|p)$', path, re.IGNORECASE):
        return _read_pickle(TextFile(argument, path), score)
    return _read_csv(argument, path, score, sizes)


def check_test_boxes(proposal_file: str, test_boxes: TestBoxes, keyframes: Frames) -> None:
    """Raise ValueError unless a test has boxes to classify, from one source."""
    if not proposal_file and test_boxes == 'proposals':
        raise ValueError(
            'proposal_file=None: a test classifies boxes of detected persons; make them with '
            "tools/data/detect_persons.py, or set test_boxes='ground_truth' to classify the "
            "annotated boxes (the metric's names then say so)"
        )
    if proposal_file and test_boxes == 'ground_truth':
        raise ValueError(
            f"test_boxes='ground_truth' does not read proposal_file={proposal_file!r}: remove one "
            'of the two'
        )
    if test_boxes == 'ground_truth' and keyframes == 'proposals':
        raise ValueError("keyframes='proposals' needs test_boxes='proposals'")


def keep_best(boxes: np.ndarray, score: float) -> np.ndarray:
    """Choose boxes (n, 5) with at least ``score``, or the best if there are none; bool (n,).

    Boxes of no width or no height are not chosen.

    >>> keep_best(np.array([[0, 0, 1, 1, 0.3], [0, 0, 1, 1, 0.5]]), score=0.9)
    array([False,  True])
    """
    flat = (boxes[:, 2:4] == boxes[:, :2]).any(axis=1)  # rounding can leave no width or height
    scores = np.where(flat, -1, boxes[:, 4])
    if not len(scores) or scores.max() >= score or scores.max() < 0:
        return scores >= score
    return np.arange(len(scores)) == scores.argmax()


def _read_csv(
    argument: str, path: str, score: float, sizes: Mapping[str, tuple[int, int]] | None
) -> tuple[dict[KeyFrame, np.ndarray], int]:
    rows = read_box_rows(argument, path, (6, 7, 8), _COLUMNS)
    scores = np.ones(len(rows.lines))
    if rows.rest[0]:
        fields = zip(rows.lines, rows.rest)
        scores = np.array([_read_score(rows.file, line, row[-1]) for line, row in fields])
    # Rows of one frame, in the file's order; SlowFast repeats a box for each of its labels.
    members: dict[KeyFrame, dict[tuple[float, ...], int]] = {}
    for index, (frame, box) in enumerate(zip(rows.frames, rows.boxes.tolist())):
        if sizes is not None:
            if frame[0] not in sizes:
                continue
            rows.boxes[index] /= [*sizes[frame[0]], *sizes[frame[0]]]
        members.setdefault(frame, {}).setdefault((*box, scores[index]), index)
    if not members:  # the file has other videos only
        return {}, 0
    boxes, kept = np.column_stack([rows.boxes, scores]), {}
    for frame, indices in members.items():
        chosen = np.array([*indices.values()])
        kept[frame] = chosen[keep_best(boxes[chosen], score)]
    every = np.concatenate([*kept.values()])
    check_boxes(rows.file, rows.boxes[every], rows.lines[every])
    found = {frame: _limit(boxes[chosen]) for frame, chosen in kept.items()}
    return found, sum(map(len, members.values()))


def _read_score(file: TextFile, line: np.integer[Any], field: str) -> float:
    try:
        value = float(field)
    except ValueError:
        value = np.nan
    if not 0 <= value <= 1:
        raise file.error(
            f'the score {show(field)} is not in [0, 1]; the columns are {_COLUMNS}: is it the file '
            'of annotations?',
            line=int(line),
        )
    return value


def _read_pickle(file: TextFile, score: float) -> tuple[dict[KeyFrame, np.ndarray], int]:
    try:
        contents = read_plain_pickle(Path(file.path))
    except ValueError as error:
        reason = str(error).partition(' cannot be read: ')[2]
        raise file.error(f'it is not a pickle of arrays alone ({reason}); {_TO_CSV}') from error
    if not isinstance(contents, dict) or not contents:
        raise file.error(
            f"it must hold a dict of arrays by 'video,timestamp', not {show(contents)}; {_TO_CSV}"
        )
    arrays = {key: _read_array(file, key, value) for key, value in contents.items()}
    kept = {key: boxes[keep_best(boxes, score)] for key, boxes in arrays.items()}
    try:
        check_boxes(file, np.concatenate([*kept.values()])[:, :4])  # all at once, which is quick
    except ValueError:
        for key, boxes in kept.items():
            _check_key(file, key, boxes)
    found = {_read_key(file, key): _limit(boxes) for key, boxes in kept.items()}
    return found, sum(map(len, arrays.values()))


def _check_key(file: TextFile, key: Any, boxes: np.ndarray) -> None:
    """Raise ValueError, with the key, for a wrong box."""
    try:
        check_boxes(file, boxes[:, :4])
    except ValueError as error:
        raise ValueError(f'{error} (key {key!r})') from None


def _read_key(file: TextFile, key: Any) -> KeyFrame:
    match = re.fullmatch(r'(.+),\s*(\d{1,7}(?:\.\d*)?)', key) if isinstance(key, str) else None
    if match is None:
        raise file.error(f"the key {show(key)} must be 'video,timestamp', as 'video,0902'")
    return make_frame(normalise(match[1]), float(match[2]))


def _read_array(file: TextFile, key: Any, value: Any) -> np.ndarray:
    """Turn the boxes of a frame into float64 (n, 5)."""
    try:
        boxes = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        boxes = np.empty(())
    if boxes.size == 0 and boxes.ndim:
        return np.empty((0, 5))
    if boxes.ndim != 2 or boxes.shape[1] not in (4, 5) or not np.isfinite(boxes).all():
        raise file.error(
            f'the boxes of {key!r} must be numbers (n, 5): x1, y1, x2, y2 and a score; they are '
            f'{show(value)}'
        )
    if boxes.shape[1] == 4:
        return np.column_stack([boxes, np.ones(len(boxes))])
    if boxes[:, 4].min() < 0 or boxes[:, 4].max() > 1:
        raise file.error(f'a score of {key!r} is not in [0, 1]: {show(boxes[:, 4].tolist())}')
    return boxes


def _limit(boxes: np.ndarray) -> np.ndarray:
    return np.clip(boxes, 0, 1).astype(np.float32)
