"""Boxes of the persons at the key frames of a data set, as a file of proposals."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mmstan.apis.key_frames import choose_seconds
from mmstan.apis.person_detector import PersonDetector
from mmstan.datasets.ava_files import make_frame, name_frame, read_annotations
from mmstan.datasets.readers import BrokenVideoError
from mmstan.datasets.transforms.sample_keyframe import find_key_frame
from mmstan.datasets.video_files import VIDEO_EXTENSIONS, find_files, split_extension
from mmstan.datasets.visible_files import is_hidden
from mmstan.wording import count_things, name_a_few


def write_proposals(
    detector: PersonDetector,
    folder: str,
    out: Path,
    *,
    annotations: str | None = None,
    every: float = 1.0,
    timestamp_start: float = 0,
) -> str:
    """Write ``video,timestamp,x1,y1,x2,y2,score`` a line for the persons at key frames.

    The file appears when it is whole. A video that cannot be read has no line, and is named in the
    summary.

    Args:
        detector: The detector of persons.
        folder: Folder of the videos.
        out: The csv.
        annotations: AVA's annotations, which name the key frames; without it, every video has one
            each ``every`` seconds.
        every: Seconds between key frames.
        timestamp_start: The second at which the video files begin (900 for AVA's).

    Returns:
        A line about the file.

    Raises:
        ValueError: A key frame is not in its video, or no video can be read.
        FileNotFoundError: The folder or the annotations do not exist, or no video is there.
    """
    wanted = _list_videos(folder) if annotations is None else _read_key_frames(annotations)
    names = {video: [video] for video in wanted}
    files, doubts = find_files(folder, names, recursive=False, have_extension=False)
    missing = [video for video in wanted if video not in files]
    if missing:
        doubts.append(f'{len(missing)} videos have no file: {name_a_few(missing)}')
    part = out.with_name(f'{out.name}.part')
    part.parent.mkdir(parents=True, exist_ok=True)
    frames = boxes = 0
    broken: list[BrokenVideoError] = []
    with part.open('w', encoding='utf-8', errors='surrogateescape') as file:
        for video, path in tqdm(files.items(), desc='videos', disable=None):
            choose = partial(_place, wanted[video], path, every, timestamp_start)
            try:
                persons = list(detector.find_in_video(path, choose))  # none of half a video
            except BrokenVideoError as error:
                broken.append(error)
                continue
            lines = list(_write_lines(video, persons))
            file.writelines(lines)
            frames, boxes = frames + len(persons), boxes + len(lines)
    doubts += [_describe_broken(broken)] if broken else []
    if broken and len(broken) == len(files):
        part.unlink()
        raise ValueError(f'{folder}: {doubts[-1]}')
    part.replace(out)
    summary = f'{out}: {boxes} boxes at {count_things(frames, "key frame")}'
    return '; '.join([summary, *doubts])


def _write_lines(video: str, persons: Iterable[tuple[float, np.ndarray]]) -> Iterator[str]:
    """Write a line for each person at the key frames of a video."""
    for second, found in persons:
        place = name_frame(make_frame(video, second))
        for *sides, score in found.tolist():
            row = [place, *(f'{side:.3f}' for side in sides), f'{score:.4f}']
            yield ','.join(row) + '\n'


def _describe_broken(broken: Sequence[BrokenVideoError]) -> str:
    return f'{count_things(len(broken), "video")} cannot be read: {name_a_few(broken, most=3)}'


def _read_key_frames(path: str) -> dict[str, list[float] | None]:
    """Video -> seconds of its key frames."""
    seconds: dict[str, dict[float, None]] = {}
    for video, second in read_annotations('--annotations', path).frames:
        seconds.setdefault(video, {})[second] = None
    return {video: [*times] for video, times in seconds.items()}


def _list_videos(folder: str) -> dict[str, list[float] | None]:
    """The videos of a folder, without key frames."""
    if not os.path.isdir(folder):
        raise FileNotFoundError(f'{folder} is not a folder; give the folder of the videos')
    visible = (name for name in sorted(os.listdir(folder)) if not is_hidden(name))
    files = map(split_extension, visible)
    known = VIDEO_EXTENSIONS - {''}
    stems = [stem for stem, extension in files if extension.lower() in known]
    if not stems:
        raise FileNotFoundError(f'{folder} has no video; give the folder of the videos')
    return dict.fromkeys(stems)


def _place(
    seconds: list[float] | None,
    path: str,
    every: float,
    start: float,
    frames: int,
    fps: float,
    *,
    times: np.ndarray | None,
) -> Mapping[float, int]:
    """Second of each key frame, as the file has it -> its frame."""
    if seconds is None:
        chosen = choose_seconds(frames, fps, every, times=times)
        return {start + second: frame for second, frame in chosen.items()}
    known = dict(filename=path, total_frames=frames, avg_fps=fps, frame_times=times)
    return {
        second: find_key_frame(dict(known, timestamp=second, timestamp_start=start))
        for second in seconds
    }
