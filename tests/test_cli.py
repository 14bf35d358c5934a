import argparse
import io
import signal

import pytest
from helpers.scripts import PROJECT

from mmstan.cli import add_measured_device, one_line_errors


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_signals_end_a_command_in_one_line(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGCHLD)}
    # A run in the background of a shell ignores Ctrl-C.
    ctrl_c = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(SystemExit) as end, one_line_errors():
        signal.raise_signal(number)  # to this thread: another one's would not end a pause
        raise AssertionError('goes on')
    signal.signal(signal.SIGINT, ctrl_c)
    assert end.value.code == 128 + number
    assert capsys.readouterr().err == f'stopped by {number.name}\n'
    assert signal.getsignal(signal.SIGTERM) is before[signal.SIGTERM]
    signal.signal(signal.SIGCHLD, before[signal.SIGCHLD] or signal.SIG_DFL)


def test_a_name_that_is_not_utf_8_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = io.BytesIO()
    monkeypatch.setattr('sys.stdout', io.TextIOWrapper(printed, encoding='utf-8', newline='\n'))
    with one_line_errors():
        print('caf\udce9.mp4', flush=True)
        assert printed.getvalue() == b'caf\\udce9.mp4\n'


def test_workers_that_were_stopped_first(capsys: pytest.CaptureFixture[str]) -> None:
    message = 'DataLoader worker (pid 7) is killed by signal: Terminated. '
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise RuntimeError(message)
    assert end.value.code == 143
    with pytest.raises(RuntimeError, match='out of memory'), one_line_errors():
        raise RuntimeError('out of memory')


def test_a_measurement_is_of_the_first_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clocks and counters are the current device's, so ``cuda:1`` would measure ``cuda:0``."""
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    parser = argparse.ArgumentParser()
    add_measured_device(parser, default='cpu')
    assert parser.parse_args(['--device', 'cuda']).device == 'cuda'
    with pytest.raises(SystemExit):
        parser.parse_args(['--device', 'cuda:1'])
    scripts = [PROJECT / 'tools/benchmark.py', *PROJECT.glob('tools/benchmarks/*.py')]
    own = [x.name for x in scripts if "add_argument('--device'" in x.read_text()]
    assert len(scripts) > 10 and not own
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    with pytest.raises(SystemExit):
        parser.parse_args(['--device', 'cuda'])
    assert 'argument --device: cuda: PyTorch sees no GPU' in capsys.readouterr().err


def test_measurements_report_errors_in_one_line() -> None:
    own = {'digests.py'}  # compares checkouts, for which a traceback is right
    scripts = [*PROJECT.glob('tools/*.py'), *PROJECT.glob('tools/benchmarks/*.py')]
    without = {x.name for x in scripts if 'with one_line_errors()' not in x.read_text()}
    assert without == own
