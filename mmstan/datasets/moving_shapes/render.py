"""Moving Shapes: small real videos on which the papers' claims can be checked in minutes.

``generate`` renders, encodes (H.264, every frame a key frame) and annotates ``OUT/SIZE/TASK`` for
three tasks:

* ``recognition``: ``{train,test}.txt`` (``path label``), ``classes.txt``. The eight classes are
  four motions and the same motions played backwards. A model that ignores the order of the frames
  gets half of them right.
* ``retrieval``: ``{train,test}.json``, ``{filename: [captions]}``. Each test video has one caption
  and an event (shape, colour, motion) of its own. Training videos have three captions.
* ``misaligned``: like retrieval, but a video shows its event in a third of its frames and other
  events in the rest, and its captions also describe an event that it never shows.

``{train,test}_scenes.json`` describe each video (shape, colour, motion, ...), for other splits. The
same seed gives the same bytes. Example of a pipeline: :mod:`mmstan.datasets.transforms`.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Literal, get_args

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from filelock import FileLock
from tqdm import tqdm

from mmstan.datasets.moving_shapes.folder import (
    finish_folder,
    is_finished,
    prepare_folder,
    write_json,
)
from mmstan.datasets.moving_shapes.scenes import (
    ALL_EVENTS,
    CLASS_NAMES,
    MOTIONS,
    Event,
    Scene,
    describe_event,
    draw_event,
    draw_scene,
    render,
    write_captions,
)

__all__ = ['CLASS_NAMES', 'SIZES', 'TASKS', 'Size', 'Task', 'generate', 'plan_clips']

Size = Literal['tiny', 'small', 'full']
Task = Literal['recognition', 'retrieval', 'misaligned']
TASKS: tuple[Task, ...] = get_args(Task)
# Clips: (training, test) by size and task. In retrieval and misaligned every test video has an
# event of its own, of 320; misaligned tests 160 of them and keeps the others as distractors.
SIZES: dict[str, dict[str, tuple[int, int]]] = {
    'tiny': {'recognition': (48, 16), 'retrieval': (24, 16), 'misaligned': (24, 16)},
    'small': {'recognition': (6000, 800), 'retrieval': (3000, 320), 'misaligned': (3000, 160)},
    'full': {'recognition': (18000, 2400), 'retrieval': (9000, 320), 'misaligned': (9000, 160)},
}
_PIXELS, _FRAMES, _FPS = 64, 16, 8
_QP = 14  # constant: no frame's quality depends on its neighbours, or playing backwards would show
_CLIPS_PER_WORKER = 100  # for fewer, starting another process does not pay
_VERSION = 2  # of the rendering: folders of another version are rendered again


@dataclass(frozen=True)
class Clip:
    """One video to make: its path, the events that it shows in turn, and its captions."""

    filename: str
    seed: tuple[int, ...]
    events: tuple[Event, ...]
    described: int = 0  # index of the event that the captions describe
    caption: str = '{}'  # template around the description
    lengths: tuple[int, ...] = (0, 1, 2)  # which of the three captions, from short to long

    def draw_scenes(self) -> list[Scene]:
        """Draw a scene for each event."""
        rng = np.random.default_rng(self.seed)
        return [draw_scene(rng, event) for event in self.events]

    def render_frames(self) -> np.ndarray:
        """Render the clip, (16 * events, 64, 64, 3) uint8 RGB."""
        pairs = zip(self.draw_scenes(), self.events)
        return np.concatenate([render(s, e.motion, _FRAMES, _PIXELS) for s, e in pairs])

    def write_captions(self) -> list[str]:
        """Write the captions of this video."""
        texts = write_captions(
            self.draw_scenes()[self.described], self.events[self.described].motion
        )
        return [self.caption.format(texts[length]) for length in self.lengths]


def plan_clips(task: Task, size: Size, split: str, seed: int) -> list[Clip]:
    """Plan the clips of a split; labels take turns, and training and test share no seed."""
    test = split == 'test'
    key = (seed, TASKS.index(task), int(test))
    order = np.random.default_rng((*key, 0)).permutation(len(ALL_EVENTS))
    events = [ALL_EVENTS[i] for i in order]
    clips = []
    for index in range(SIZES[size][task][int(test)]):
        # A stream a clip: an interrupted rendering goes on with the same clips.
        rng = np.random.default_rng((*key, 1, index))
        event = draw_event(rng, index % len(MOTIONS))
        if test and task != 'recognition':
            event = events[index]
        fields: dict[str, Any] = dict(events=(event,))
        if task == 'misaligned':
            # In the test, other events are the event of no video: each caption fits one video.
            others = (events[160:240], events[240:]) if test else (events, events)
            fields = _misalign(rng, event, *others)
        if test:
            fields['lengths'] = (1,)
        clips.append(Clip(f'{split}/{index:06d}.mp4', (*key, 2, index), **fields))
    return clips


def _misalign(
    rng: np.random.Generator, event: Event, shown: list[Event], untrue: list[Event]
) -> dict[str, Any]:
    """Hide ``event`` among two of ``shown``, and add one of ``untrue`` to the caption."""
    events = [event]
    # Four events, each another one; the last is described, but not shown.
    for source in (shown, shown, untrue):
        rest = [other for other in source if other not in events]
        events.append(rest[int(rng.integers(len(rest)))])
    phrase = describe_event(events.pop())
    order = rng.permutation(3)
    link = str(rng.choice(['before', 'after', 'while']))
    caption = f'{{}} {link} {phrase}' if rng.integers(2) else f'{link} {phrase}, {{}}'
    return dict(
        events=tuple(events[i] for i in order),
        described=int(np.argmin(order)),  # the place of event 0, ``event``
        caption=caption,
    )


def generate(
    out: str | os.PathLike[str] = 'data/moving_shapes',
    *,
    size: Size = 'small',
    seed: int = 0,
    tasks: Sequence[Task] = TASKS,
    workers: int | None = None,
) -> Path:
    """Render the missing videos of ``out/size/task`` and return ``out/size``.

    Finished tasks are left alone; interrupted and killed ones go on; tasks that other parameters
    made are rendered again. Two calls at the same time wait for each other. ``workers`` are
    processes, by default one a core.

    Raises:
        ValueError: ``size`` or ``tasks`` is unknown, or the folder holds files of someone else.
    """
    if size not in SIZES or not set(tasks) <= set(TASKS):
        raise ValueError(
            f'size={size!r} must be one of {list(SIZES)}, and tasks={list(tasks)} some of {TASKS}'
        )
    root = Path(out) / size
    for task in tasks:
        _generate_task(root / task, task, size, seed, workers or os.cpu_count() or 1)
    return root


def _generate_task(folder: Path, task: Task, size: Size, seed: int, workers: int) -> None:
    manifest = dict(
        version=_VERSION,
        seed=seed,
        clips=list(SIZES[size][task]),
        format=[_PIXELS, _FRAMES, _FPS, _QP],
    )
    if is_finished(folder, manifest):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / '.lock'):
        if is_finished(folder, manifest):  # by another process, meanwhile
            return
        prepare_folder(folder, manifest)
        splits = {split: plan_clips(task, size, split, seed) for split in ('train', 'test')}
        clips = [clip for split in splits.values() for clip in split]
        missing = [clip for clip in clips if not (folder / clip.filename).exists()]
        done = _encode_all(folder, missing, workers)
        for _ in tqdm(done, f'{size} {task}', len(missing), unit='clip', mininterval=0.5):
            pass
        for split, planned in splits.items():
            _annotate(folder, task, split, planned)
        finish_folder(folder, manifest)


def _encode_all(folder: Path, clips: Sequence[Clip], workers: int) -> Iterator[None]:
    encode = partial(_encode, folder)
    # Another process pays only for enough clips; the order in which clips are done does not matter.
    workers = min(workers, len(clips) // _CLIPS_PER_WORKER)
    if workers <= 1:
        yield from map(encode, clips)
        return
    with multiprocessing.Pool(workers, _end_with_parent) as pool:
        yield from pool.imap_unordered(encode, clips, chunksize=16)


def _end_with_parent() -> None:
    """End a worker with the process that started it, also when that process is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _encode(folder: Path, clip: Clip) -> None:
    """Write one MP4; a file that has its name is whole."""
    path = folder / clip.filename
    # The process id keeps apart this file and the one that a killed call's worker still writes.
    unfinished = path.with_suffix(f'.{os.getpid()}.part')
    # bitexact: nothing of the muxer's version; threads: their number would change the bytes
    with av.open(str(unfinished), 'w', format='mp4', options={'fflags': '+bitexact'}) as container:
        options = {'preset': 'veryfast', 'qp': str(_QP), 'g': '1', 'threads': '1'}
        stream = container.add_stream('libx264', rate=_FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = _PIXELS, _PIXELS, 'yuv420p'
        for array in clip.render_frames():
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), 'rgb24')
            yuv = _to_yuv.reformat(frame, format='yuv420p', threads=1)
            container.mux(stream.encode(yuv))
        container.mux(stream.encode())
    os.replace(unfinished, path)


_to_yuv = VideoReformatter()  # making one takes longer than converting a frame


def _annotate(folder: Path, task: Task, split: str, clips: Sequence[Clip]) -> None:
    """Write a split's annotation files."""
    write_json(folder / f'{split}_scenes.json', {c.filename: _describe(c) for c in clips})
    if task == 'recognition':
        lines = [f'{clip.filename} {clip.events[0].motion}' for clip in clips]
        (folder / f'{split}.txt').write_text('\n'.join(lines) + '\n')
        (folder / 'classes.txt').write_text('\n'.join(CLASS_NAMES) + '\n')
    else:
        write_json(
            folder / f'{split}.json', {clip.filename: clip.write_captions() for clip in clips}
        )


def _describe(clip: Clip) -> list[dict[str, str]]:
    """Describe each event of a clip, in turn."""
    keys = ('shape', 'color', 'speed', 'size', 'background')
    return [
        dict(motion=MOTIONS[event.motion], **{key: getattr(scene, key) for key in keys})
        for scene, event in zip(clip.draw_scenes(), clip.events)
    ]
