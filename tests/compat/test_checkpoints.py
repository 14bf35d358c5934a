import functools
import http.server
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny_runs import stock_runner
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

from mmstan.compat import checkpoints
from mmstan.compat.checkpoints import load_url


class Calls:
    """Pickles as a call of ``function``: what a hostile file holds."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable, tuple]:
        return self.call


def saved(path: Path, content: Any) -> str:
    torch.save(content, path)
    return str(path)


@pytest.fixture
def addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """``tmp_path`` as a folder, over http, and as an object store."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub'))

    class Store:
        def get(self, name: str) -> bytes:
            return (tmp_path / name.removeprefix('s3://')).read_bytes()

    monkeypatch.setattr('mmengine.runner.checkpoint.get_file_backend', lambda *_, **__: Store())

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=tmp_path)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        http_address = f'http://127.0.0.1:{server.server_address[1]}'
        yield dict(file=str(tmp_path), http=http_address, s3='s3:/')
        server.shutdown()
        thread.join()


def test_a_run_resumes_from_its_own_checkpoint(work_dir: Path) -> None:
    first = stock_runner(work_dir)
    first.train()
    resumed = stock_runner(work_dir, **{'train_cfg.max_epochs': 2, 'resume': True})
    resumed.load_or_resume()
    assert resumed.epoch == 1
    for name, value in first.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name
    losses = resumed.message_hub.get_scalar('train/loss')
    assert losses.mean() == first.message_hub.get_scalar('train/loss').mean()
    resumed.train()
    assert resumed.epoch == 2


def test_a_checkpoint_that_is_written_again_is_read_by_everybody(tmp_path: Path) -> None:
    path = saved(tmp_path / 'a.pth', dict(state_dict=dict(weight=torch.arange(3.0))))
    again = saved(tmp_path / 'again.pth', CheckpointLoader.load_checkpoint(path))
    for found in (torch.load(again, weights_only=True), CheckpointLoader.load_checkpoint(again)):
        assert list(found) == ['state_dict']
        assert found['state_dict']['weight'].tolist() == [0, 1, 2]


@pytest.mark.parametrize('module', ['numpy.core.multiarray', 'numpy._core.multiarray'])
def test_files_written_with_numpy_1_and_2_load(tmp_path: Path, module: str) -> None:
    now = np.zeros(1).__reduce__()[0].__module__.encode()
    history = HistoryBuffer([1.0, 3.0], [1, 1])
    content = dict(history=history, best=np.float32(0.5), seen=np.int64(7))
    torch.save(content, tmp_path / 'now.pth')
    with zipfile.ZipFile(tmp_path / 'now.pth') as source:
        files = {name: source.read(name) for name in source.namelist()}
    assert now in files['now/data.pkl']
    with zipfile.ZipFile(tmp_path / 'other.pth', 'w') as target:
        for name, data in files.items():
            target.writestr(name, data.replace(now, module.encode()))
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / 'other.pth'))
    assert loaded['history'].mean() == 2 and loaded['history'].statistics('max') == 3
    assert (loaded['best'], loaded['seen']) == (0.5, 7)


@pytest.mark.parametrize('scheme', ['file', 'http', 's3'])
@pytest.mark.parametrize('function', [os.system, eval])
def test_a_file_that_would_run_code_is_refused(
    tmp_path: Path, addresses: dict[str, str], function: Callable, scheme: str
) -> None:
    ran = tmp_path / 'ran'
    command = f'touch {ran}' if function is os.system else f'open({str(ran)!r}, "w").close()'
    path = saved(tmp_path / 'hostile.pth', dict(state_dict=Calls(function, command)))
    torch.load(path, weights_only=False)
    assert ran.exists(), 'the file is not hostile, so this test shows nothing'
    ran.unlink()
    with pytest.raises(ValueError, match=r'hostile.pth is refused for') as caught:
        CheckpointLoader.load_checkpoint(f'{addresses[scheme]}/hostile.pth')
    assert not ran.exists()
    assert function.__name__ in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'call',
    [
        Calls(getattr, HistoryBuffer, '__init__'),
        Calls(getattr, Calls(getattr, HistoryBuffer, 'mean'), '__globals__'),
        Calls(getattr, torch.Tensor, 'mean'),
        Calls(getattr, 'text', 'format'),
    ],
)
def test_getattr_answers_for_four_statistics_only(tmp_path: Path, call: Calls) -> None:
    path = saved(tmp_path / 'hostile.pth', call)
    torch.load(path, weights_only=False)
    with pytest.raises(ValueError, match=r'hostile.pth is refused for getattr\('):
        CheckpointLoader.load_checkpoint(path)


@pytest.mark.parametrize('scheme', ['file', 'http', 's3'])
def test_what_runner_writes_loads_from_everywhere(
    tmp_path: Path, addresses: dict[str, str], scheme: str
) -> None:
    saved(tmp_path / 'logs.pth', dict(history=HistoryBuffer([1.0], [1])))
    loaded = CheckpointLoader.load_checkpoint(f'{addresses[scheme]}/logs.pth', map_location='cpu')
    assert loaded['history'].current() == 1


def test_nothing_is_allowed_beyond_one_load(tmp_path: Path) -> None:
    path = saved(tmp_path / 'logs.pth', dict(history=HistoryBuffer([1.0], [1])))
    before = get_safe_globals()
    add_safe_globals([np.ndarray])
    try:
        CheckpointLoader.load_checkpoint(path)
        assert set(get_safe_globals()) == {*before, np.ndarray}
    finally:
        clear_safe_globals()
        add_safe_globals(before)


@pytest.mark.parametrize(('length', 'reason'), [(0, 'it is empty'), (500, 'it is cut off')])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, length: int, reason: str) -> None:
    path = saved(tmp_path / 'whole.pth', torch.zeros(1000))
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(Path(path).read_bytes()[:length])
    with pytest.raises(ValueError, match=f'cut.pth cannot be read: {reason}'):
        CheckpointLoader.load_checkpoint(str(cut))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'none.pth'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'none.pth'))


def test_two_addresses_with_one_file_name_are_two_files(tmp_path: Path) -> None:
    urls = []
    for number, folder in enumerate(('k400', 'ssv2')):
        (tmp_path / folder).mkdir()
        saved(tmp_path / folder / 'best.pth', dict(weight=torch.full((1,), float(number))))
        urls.append((tmp_path / folder / 'best.pth').as_uri())

    def load(url: str) -> float:
        return float(load_url(url, str(tmp_path / 'hub'), progress=False)['weight'])

    assert [load(url) for url in urls] == [0, 1]
    for folder in ('k400', 'ssv2'):
        (tmp_path / folder / 'best.pth').unlink()
    assert [load(url) for url in (*urls, *urls)] == [0, 1, 0, 1]  # nothing is fetched again
    assert checkpoints._choose_file(f'{urls[0]}?signature=b#c', tmp_path / 'hub').name == 'best.pth'
    (tmp_path / 'hub/best.pth.url').unlink()  # as torch.hub leaves a file
    assert [load(url) for url in urls] == [0, 0]
