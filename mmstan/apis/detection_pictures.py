"""Pictures, videos and tables of the actions of persons."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.registry import init_default_scope

from mmstan.apis.action_detector import ActionFinder, Actions, name_actions
from mmstan.apis.key_frames import Persons
from mmstan.datasets.ava_files import make_frame, name_frame
from mmstan.datasets.label_maps import read_action_names
from mmstan.datasets.readers import VideoReader, open_video
from mmstan.datasets.readers.play import read_all
from mmstan.datasets.transforms.sample_keyframe import find_key_frame
from mmstan.registry import DATASETS
from mmstan.visualization import KeyFrame, Person, draw_over_time, draw_sheet, lay_out, write_film
from mmstan.visualization.detection import OTHER, TRUTH
from mmstan.wording import count_things

_MOST_PICTURES = 48


class Written(NamedTuple):
    """Files about a video, and what is in them."""

    film: Path
    sheet: Path | None
    """Key frames with persons; None where there are none."""
    table: Path
    key_frames: int
    persons: int

    def __str__(self) -> str:
        frames = count_things(self.key_frames, 'key frame')
        found = f'{count_things(self.persons, "person")} at {frames}'
        if not self.persons:
            return f'{self.film}: an undrawn copy, since there is no person ({found})'
        return f'{self.film}, {self.sheet}, {self.table}: {found}'


def show_actions(
    finder: ActionFinder, video: str, persons: Persons, *, out: Path, least: float
) -> Written:
    """Write ``NAME.mp4``, ``NAME.png`` and ``NAME.csv`` of the actions in a video.

    The film has boxes with up to five actions and their scores; the boxes of a key frame are shown
    until half-way to the next. The picture has the key frames with persons. The table has all
    actions: ``video,timestamp,x1,y1,x2,y2,action,score,name`` a line.

    Args:
        finder: The detector.
        video: Path of the video.
        persons: Its key frames and their persons.
        out: Folder of the files.
        least: The smallest score of an action.

    Raises:
        ValueError: The film would replace the video itself.
        BrokenVideoError: The video cannot be read.
    """
    name = Path(video).stem
    film = out / f'{name}.mp4'
    if film.exists() and Path(video).exists() and film.samefile(video):
        raise ValueError(f'--out {out}: {film} is the video itself; give another folder')
    out.mkdir(parents=True, exist_ok=True)
    found = dict(finder.find_actions(video, persons))
    drawn = {second: _to_persons(found[second], finder.names, least) for second in found}
    with open_video(video) as reader:
        fps = reader.avg_fps
        frames = draw_over_time(read_all(reader), fps, drawn, reader.uneven_times)
        write_film(film, frames, fps)
        sheet = _draw_key_frames(out / f'{name}.png', reader, drawn)
    table = out / f'{name}.csv'
    _write_table(table, name, found, finder.names, least)
    count = sum(len(actions.boxes) for actions in found.values())
    return Written(film, sheet, table, len(found), count)


def _to_persons(actions: Actions, names: Mapping[int, str], least: float) -> list[Person]:
    persons = []
    for box, scores in zip(actions.boxes.tolist(), actions.scores):
        best = name_actions(scores, names, least=least)
        persons.append(Person(box, [f'{score:.2f} {name}' for _, name, score in best]))
    return persons


def _draw_key_frames(
    path: Path, reader: VideoReader, drawn: Mapping[float, Sequence[Person]]
) -> Path | None:
    """Draw key frames with persons, of many some; None without any."""
    seconds = [second for second in sorted(drawn) if drawn[second]]
    if not seconds:
        path.unlink(missing_ok=True)  # of an earlier call
        return None
    if len(seconds) > _MOST_PICTURES:
        chosen = np.linspace(0, len(seconds) - 1, _MOST_PICTURES).astype(int)
        seconds = [seconds[i] for i in chosen]
    place = _describe(reader)
    frames = reader.read([find_key_frame(dict(place, timestamp=second)) for second in seconds])
    shown = [
        KeyFrame(frame, f'{second:g} s', drawn[second]) for frame, second in zip(frames, seconds)
    ]
    draw_sheet(path, lay_out(shown), title=Path(reader.filename).name)
    return path


def _describe(reader: VideoReader) -> dict[str, Any]:
    """Describe a video as ``mmstan.ReadFrames`` does for a sampler."""
    return dict(
        total_frames=reader.num_frames, avg_fps=reader.avg_fps, frame_times=reader.uneven_times
    )


def _write_table(
    path: Path, video: str, found: Mapping[float, Actions], names: Mapping[int, str], least: float
) -> None:
    with path.open('w', newline='', encoding='utf-8', errors='surrogateescape') as file:
        writer = csv.writer(file, lineterminator='\n')
        for second, actions in found.items():
            frame = name_frame(make_frame(video, second)).rpartition(',')
            for box, scores in zip(actions.boxes.tolist(), actions.scores):
                sides = [f'{side:.3f}' for side in box]
                for column, name, score in name_actions(scores, names, least=least, most=None):
                    writer.writerow([video, frame[2], *sides, column, f'{score:.4f}', name])


def draw_data_set(dataset: dict[str, Any], path: Path, *, number: int = 12) -> str:
    """Draw key frames of a data set with its annotated persons and its proposals.

    Args:
        dataset: The config of an ``mmstan.AVADataset``.
        path: The picture's path, ``.png``.
        number: Number of key frames, chosen evenly.

    Returns:
        A line about the picture.
    """
    init_default_scope('mmaction')
    built: Any = DATASETS.build(dataset)
    names = read_action_names(dataset)
    chosen = np.unique(np.linspace(0, len(built) - 1, min(number, len(built))).astype(int))
    shown = [_make_key_frame(built.get_data_info(int(i)), names) for i in chosen]
    path.parent.mkdir(parents=True, exist_ok=True)
    title = 'green: annotated, with actions; brown: proposals, with scores of persons'
    draw_sheet(path, lay_out(shown), title=title)
    return f'{path}: {len(shown)} of {count_things(len(built), "key frame")}'


def _make_key_frame(info: dict[str, Any], names: Mapping[int, str]) -> KeyFrame:
    """Read a key frame, and its boxes with texts."""
    with open_video(info['filename']) as reader:
        (frame,) = reader.read([find_key_frame({**info, **_describe(reader)})])
    persons = []
    if 'proposals' in info:
        for box, score in zip(info['proposals'].tolist(), info['scores'].tolist()):
            persons.append(Person(box, [f'{score:.2f}'], OTHER))
    for box, label in zip(info['gt_bboxes'].tolist(), info['gt_labels']):
        actions = np.flatnonzero(label).tolist()
        lines = [names.get(action, f'action {action}') for action in actions]
        persons.append(Person(box, lines, TRUTH))
    return KeyFrame(frame, info['img_key'], persons)
