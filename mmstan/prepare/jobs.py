"""Work on many videos at once, in threads: FFmpeg decodes and encodes outside Python's lock."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import TypeVar

from mmengine.utils import ProgressBar

_Item = TypeVar('_Item')
_Result = TypeVar('_Result')


def run_jobs(
    work: Callable[[_Item, Event], _Result], items: Sequence[_Item], jobs: int
) -> Iterator[tuple[_Item, _Result]]:
    """``work(item, stop)`` for each item, with its result, in the order in which they finish.

    A terminal shows how far it is. Whatever ends the loop, a signal too, sets ``stop``; items that
    have not begun are left, and long work gives up where it sees ``stop``.
    """
    stop = Event()
    bar = ProgressBar(len(items), file=sys.stderr) if items and sys.stderr.isatty() else None
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(work, item, stop): item for item in items}
        try:
            for future in as_completed(futures):
                if bar:
                    bar.update()
                yield futures[future], future.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            if bar:
                sys.stderr.write('\n')
