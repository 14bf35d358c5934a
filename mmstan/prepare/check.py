"""Opening every video, decoding its middle frame, and remembering the results."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

from mmstan.datasets.readers import BrokenVideoError, choose_backend, open_video
from mmstan.prepare.jobs import run_jobs


@dataclass(frozen=True)
class Facts:
    """What a video is.

    Attributes:
        problem: Why it cannot be read; '' if it can. The figures of such a video are 0.
        frames: Frames that a player shows.
        fps: Frames a second.
        width: Pixels of a row, as it is shown.
        height: Pixels of a column.
        size: Bytes of the file.
        sha1: Hexadecimal digest of the file, by which copies are found.
    """

    problem: str = ''
    frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    size: int = 0
    sha1: str = ''

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.frames / self.fps if self.fps else 0.0


def check_video(path: str) -> Facts:
    """Open a video and decode its middle frame.

    Damage elsewhere in the file is not seen; only reading all of it would.
    """
    try:
        with open_video(path) as video:
            height, width = video.read([video.num_frames // 2])[0].shape[:2]
            frames, fps = video.num_frames, video.avg_fps
        size, sha1 = _digest(path)
    except BrokenVideoError as error:
        return Facts(problem=error.reason or str(error))
    except OSError as error:
        return Facts(problem=error.strerror or str(error))
    return Facts('', frames, round(fps, 3), width, height, size, sha1)


def _digest(path: str) -> tuple[int, str]:
    """Bytes of a file and their SHA-1."""
    size, digest = 0, hashlib.sha1()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            size += len(block)
            digest.update(block)
    return size, digest.hexdigest()


def check_videos(paths: Iterable[str], journal: Path, jobs: int) -> tuple[dict[str, Facts], int]:
    """The facts of each file, and how many of them an earlier call had found.

    Each fact is written to ``journal`` at once, so that a call that was stopped goes on where it
    was. A file of another size or date is checked again, and so is one that could not be read: its
    rights may have changed, or the disk that it is on.

    Args:
        paths: The files.
        journal: One JSON object a line; made if need be.
        jobs: Files at a time.
    """
    stamps = {path: _stamp(path) for path in dict.fromkeys(paths)}
    known = {stamp: facts for stamp, facts in _read_journal(journal).items() if not facts.problem}
    found = {path: known[stamp] for path, stamp in stamps.items() if stamp in known}
    done = len(found)
    choose_backend()  # here, so that threads know the answer
    waiting = [path for path in stamps if path not in found]
    with open(journal, 'a', encoding='utf-8', errors='surrogateescape', newline='\n') as file:
        file.write('\n')  # ends a line that a kill may have cut
        for path, facts in run_jobs(_check, waiting, jobs):
            found[path] = facts
            file.write(json.dumps(dict(stamp=stamps[path], facts=asdict(facts))) + '\n')
            file.flush()
    return {path: found[path] for path in stamps}, done


def _check(path: str, stop: Event) -> Facts:
    return check_video(path)


def _stamp(path: str) -> str:
    """A file's path, bytes and date of change as one string."""
    try:
        status = os.stat(path)
    except OSError:
        return f'{path} -'
    return f'{path} {status.st_size} {status.st_mtime_ns}'


def _read_journal(journal: Path) -> dict[str, Facts]:
    """Facts by stamp; lines that a kill has cut are passed over."""
    known: dict[str, Facts] = {}
    if not journal.exists():
        return known
    for line in journal.read_text('utf-8', 'surrogateescape').splitlines():
        try:
            entry = json.loads(line)
            known[entry['stamp']] = Facts(**entry['facts'])
        except (ValueError, KeyError, TypeError):
            continue
    return known
