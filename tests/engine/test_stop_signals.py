import signal
import threading
from unittest import mock

import pytest

from mmstan.engine.stop_signals import StopSignals


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_first_signal_is_noted(number: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(number)
    with StopSignals() as signals:
        assert signals.agree() == 0
        signal.raise_signal(number)
        assert signals.agree() == number
        signal.raise_signal(signal.SIGTERM)  # a launcher's, after the scheduler's
        assert signals.agree() == number
    assert signal.getsignal(number) is before
    lines = capfd.readouterr().err.split('\n')
    assert sum(line.startswith(f'{number.name}: training stops at the end') for line in lines) == 1


@pytest.mark.parametrize('first', [signal.SIGTERM, signal.SIGINT])
def test_ctrl_c_after_it_ends_at_once(first: signal.Signals) -> None:
    with StopSignals(), mock.patch('os._exit', side_effect=SystemExit) as end:
        signal.raise_signal(first)
        end.assert_not_called()
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGINT)
        end.assert_called_once_with(130)


def test_no_handlers_outside_the_main_thread() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def run() -> None:
        with StopSignals() as signals:
            seen.extend([signal.getsignal(signal.SIGTERM), signals.agree()])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before, 0]
