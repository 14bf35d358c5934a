"""Moving Shapes: small real videos on which the papers' claims can be checked in minutes.

``generate`` renders, encodes (H.264, every frame a key frame) and annotates ``OUT/SIZE/TASK`` for
four tasks:

* ``recognition``: ``{train,test}.txt`` (``path label``), ``classes.txt``. The eight classes are
  four motions and the same motions played backwards. A model that ignores the order of the frames
  gets half of them right.
* ``retrieval``: ``{train,test}.json``, ``{filename: [captions]}``. Each test video has one caption
  and an event (shape, colour, motion) of its own. Training videos have three captions.
* ``misaligned``: like retrieval, but a video shows its event in a third of its frames and other
  events in the rest, and its captions also describe an event that it never shows.
* ``detection``: AVA's files (:mod:`.crowd_files`). Three or four shapes move in each of a video's
  three scenes; the actions of each are its motion and its colour, at the scene's key frame.

``{train,test}_scenes.json`` of the first three describe each video (shape, colour, motion, ...),
for other splits. The same seed gives the same bytes. Example of a pipeline:
:mod:`mmstan.datasets.transforms`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from mmstan.datasets.moving_shapes.crowd_files import write_crowds
from mmstan.datasets.moving_shapes.encode import FPS, QP, RenderedClip, encode_all
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
from mmstan.datasets.moving_shapes.shape_crowds import PIXELS, SCENE_FRAMES, SCENES, plan_crowds

__all__ = ['CLASS_NAMES', 'SIZES', 'TASKS', 'Size', 'Task', 'generate', 'plan_clips']

Size = Literal['tiny', 'small', 'full']
Task = Literal['recognition', 'retrieval', 'misaligned', 'detection']
TASKS: tuple[Task, ...] = get_args(Task)
# Clips: (training, test) by size and task. In retrieval and misaligned every test video has an
# event of its own, of 320; misaligned tests 160 of them and keeps the others as distractors.
SIZES: dict[str, dict[str, tuple[int, int]]] = {
    'tiny': dict(recognition=(48, 16), retrieval=(24, 16), misaligned=(24, 16), detection=(12, 6)),
    'small': dict(
        recognition=(6000, 800),
        retrieval=(3000, 320),
        misaligned=(3000, 160),
        detection=(800, 120),
    ),
    'full': dict(
        recognition=(18000, 2400),
        retrieval=(9000, 320),
        misaligned=(9000, 160),
        detection=(2400, 320),
    ),
}
_PIXELS, _FRAMES = 64, 16
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
    key = _find_key(task, split, seed)
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
        format=[*_find_format(task), FPS, QP],
    )
    if is_finished(folder, manifest):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / '.lock'):
        if is_finished(folder, manifest):  # by another process, meanwhile
            return
        prepare_folder(folder, manifest)
        splits = {split: _plan(task, size, split, seed) for split in ('train', 'test')}
        clips = [clip for split in splits.values() for clip in split]
        missing = [clip for clip in clips if not (folder / clip.filename).exists()]
        done = encode_all(folder, missing, workers)
        for _ in tqdm(done, f'{size} {task}', len(missing), unit='clip', mininterval=0.5):
            pass
        for split, planned in splits.items():
            _annotate(folder, task, split, planned, seed)
        finish_folder(folder, manifest)


def _find_format(task: Task) -> tuple[int, int]:
    """Pixels of a side and frames of a video."""
    return (PIXELS, SCENES * SCENE_FRAMES) if task == 'detection' else (_PIXELS, _FRAMES)


def _plan(task: Task, size: Size, split: str, seed: int) -> Sequence[RenderedClip]:
    if task == 'detection':
        count = SIZES[size][task][split == 'test']
        return plan_crowds(count, split, _find_key(task, split, seed))
    return plan_clips(task, size, split, seed)


def _find_key(task: Task, split: str, seed: int) -> tuple[int, int, int]:
    """The seed of a split's draws: training and test share none."""
    return seed, TASKS.index(task), int(split == 'test')


def _annotate(folder: Path, task: Task, split: str, clips: Sequence[Any], seed: int) -> None:
    """Write a split's annotation files."""
    if task == 'detection':
        write_crowds(folder, split, clips, _find_key(task, split, seed))
        return
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
