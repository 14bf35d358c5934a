"""A run that waits for its data says so, once."""

from types import SimpleNamespace

import pytest
from mmengine.logging import HistoryBuffer

from mmstan.engine import SlowData


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, text: str) -> None:
        self.lines.append(text)


def run(waited: list[float], **settings: float) -> list[str]:
    """Warnings of one epoch whose iterations of one second wait for ``waited`` seconds."""
    hook, log, scalars = SlowData(**settings), Log(), {}
    runner = SimpleNamespace(logger=log, message_hub=SimpleNamespace(log_scalars=scalars))
    hook.before_train_epoch(runner)
    for index, seconds in enumerate(waited):
        scalars['train/data_time'], scalars['train/time'] = HistoryBuffer(), HistoryBuffer()
        scalars['train/data_time'].update(seconds)
        scalars['train/time'].update(1.0)
        hook.after_train_iter(runner, index)
    return log.lines


def test_warns_once_and_names_the_tool() -> None:
    (line,) = run([0.5] * 700)
    assert line.startswith('50% of the last 200 iterations passed while they waited for data: ')
    assert 'python tools/benchmark.py --data CONFIG' in line


@pytest.mark.parametrize('waited', [[0.29] * 500, [0.9] * 209, [0.9] * 10 + [0.1] * 300])
def test_quick_loaders_short_runs_and_the_first_iterations(waited: list[float]) -> None:
    assert run(waited) == []


def test_a_window_is_judged_by_itself() -> None:
    assert run([0.0] * 4 + [0.9, 0.1, 0.1, 0.9], window=4, start=0, share=0.4) != []
    assert run([0.0] * 4 + [0.9, 0.1, 0.1, 0.4], window=4, start=0, share=0.4) == []
