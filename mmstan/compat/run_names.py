"""MMEngine's names of runs."""

import functools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

_FORMAT = '%Y%m%d_%H%M%S'
_taken: set[str] = set()


def name_runs_apart() -> bool:
    """MMEngine 0.10.7 names a run by the second in which it begins.

    Two runs that one process begins in the same second, such as a short training and its test,
    share log file, message hub and visualizer: the second one writes among the first one's figures,
    and MMEngine warns of an "instance named of ...". No thread at MMEngine was found. Here the
    later run takes the next free second.
    """
    from mmengine._strategy import BaseStrategy
    from mmengine.runner import Runner

    if hasattr(Runner.setup_env, '__wrapped__'):
        return False
    Runner.setup_env = _take_a_free_second(Runner.setup_env)
    BaseStrategy._setup_env = _take_a_free_second(BaseStrategy._setup_env)
    return True


def _take_a_free_second(set_up: Callable[..., None]) -> Callable[..., None]:
    """Change the timestamp that a method sets, to one that no run of this process has."""

    @functools.wraps(set_up)
    def set_up_and_name(self: Any, *args: Any, **kwargs: Any) -> None:
        set_up(self, *args, **kwargs)
        second = datetime.strptime(self._timestamp, _FORMAT)
        while second.strftime(_FORMAT) in _taken:
            second += timedelta(seconds=1)
        self._timestamp = second.strftime(_FORMAT)
        _taken.add(self._timestamp)

    return set_up_and_name
