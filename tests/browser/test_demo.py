"""The web demo in a real browser, on tiny models."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mmstan
from mmstan.apis.video_model import VideoModel

pytest_plugins = ['apis.conftest']
pytestmark = pytest.mark.browser
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
# Without these Chromium looks for updates and its accounts on other machines.
FLAGS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
]
# Videos on buttons are examples: a click puts one in place of an upload.
PLAYER, EXAMPLE = 'video:not(button video):visible', 'button video:visible'
TEXTS = 'a red circle moves up\na blue square moves left'


@pytest.fixture(scope='module')
def videos(moving_shapes: Path) -> list[Path]:
    return sorted(moving_shapes.rglob('retrieval/test/*.mp4'))[:6]


@pytest.fixture(scope='module')
def address(
    tiny_model: Callable[[str], VideoModel],
    videos: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Address of a running demo with an index of six videos."""
    pytest.importorskip('gradio', reason='the demo needs gradio')
    folder = tmp_path_factory.mktemp('demo')
    model = tiny_model('mug_stan/msrvtt_b32')
    model.save(folder / 'model')
    mmstan.SearchIndex.build(model, videos, folder / 'index')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    options = ['--index', 'index', '--port', str(port), '--device', 'cpu']
    command = [sys.executable, '-m', 'mmstan', 'demo', 'model', *options]
    # The environment of gradio's files is the server's own.
    environment = {**os.environ, 'GRADIO_TEMP_DIR': str(folder / 'uploads')}
    with open(folder / 'log', 'w') as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        wait_for(f'http://127.0.0.1:{port}', server, folder / 'log')
        yield f'http://127.0.0.1:{port}'
    finally:
        server.terminate()
        server.wait(30)


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
    api = pytest.importorskip('playwright.sync_api', reason='the test needs playwright')
    if CHROMIUM is None:
        pytest.skip('there is no chromium')
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.mark.parametrize(('look', 'width'), [('light', 1200), ('dark', 400)])
def test_classify_search_compare(
    browser: Any, address: str, videos: list[Path], look: str, width: int, tmp_path: Path
) -> None:
    size = dict(width=width, height=900)
    with browser.new_context(viewport=size, color_scheme=look) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        outside: list[str] = []
        problems: list[str] = []
        local = (address, 'data:', 'blob:')
        page.on('request', lambda x: None if x.url.startswith(local) else outside.append(x.url))
        page.on('response', lambda x: problems.append(x.url) if x.status >= 400 else None)
        page.on('console', lambda x: problems.append(x.text) if x.type == 'error' else None)
        page.on('pageerror', lambda error: problems.append(str(error)))
        page.goto(address)
        classify(page, videos[0], tmp_path)
        search(page, tmp_path)
        compare(page, tmp_path)
        assert page.evaluate('document.documentElement.scrollWidth') <= width
        is_dark = page.evaluate("document.body.classList.contains('dark')")
        assert is_dark == (look == 'dark')
    assert not outside
    assert not problems


def classify(page: Any, video: Path, folder: Path) -> None:
    page.locator('input[type=file]').first.set_input_files(str(video))
    page.locator(PLAYER).wait_for()
    page.get_by_label('Class names of your own, one a line').fill(TEXTS)
    page.get_by_role('button', name='Classify', exact=True).click()
    first = page.locator('h2:visible')
    first.wait_for()
    assert first.inner_text() in TEXTS.splitlines()
    page.locator('.thumbnail-item:visible').nth(11).wait_for()  # twelve frames
    take_picture(page, folder / 'classify.png')


def search(page: Any, folder: Path) -> None:
    page.get_by_role('tab', name='Search').click()
    page.get_by_label('Text', exact=True).fill('a red circle')
    page.get_by_role('button', name='Search', exact=True).click()
    page.locator('#strips img').nth(4).wait_for()
    assert page.locator('#strips img').count() == 5
    assert all('.mp4' in line for line in page.locator('#strips .caption-label').all_inner_texts())
    page.locator('#strips img').first.click()
    page.locator(PLAYER).wait_for()
    take_picture(page, folder / 'search.png')


def compare(page: Any, folder: Path) -> None:
    page.get_by_role('tab', name='Compare').click()
    assert page.locator(EXAMPLE).count() == 3
    page.locator(EXAMPLE).first.click()
    page.locator(PLAYER).wait_for()
    page.get_by_label('Texts, one a line').fill(TEXTS)
    page.get_by_role('button', name='Compare', exact=True).click()
    picture = page.locator('img[src^="data:image"]:visible')
    picture.wait_for()
    assert picture.bounding_box()['height'] > 100
    take_picture(page, folder / 'compare.png')


def take_picture(page: Any, path: Path) -> None:
    """For a look; MMSTAN_SCREENSHOTS=FOLDER keeps the pictures."""
    kept = os.environ.get('MMSTAN_SCREENSHOTS')
    page.wait_for_timeout(1000)  # uploads fade in
    width = page.viewport_size['width']
    page.screenshot(path=Path(kept, f'{path.stem}_{width}.png') if kept else path, full_page=True)


def test_only_files_of_the_index_are_served(address: str, videos: list[Path]) -> None:
    def fetch(path: Path) -> int:
        try:
            with urllib.request.urlopen(f'{address}/gradio_api/file={path}') as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    assert fetch(videos[0]) == 200
    # The test set has sixteen videos, and the index six of them.
    others = [*videos[0].parent.glob('*.mp4'), Path('/etc/passwd'), Path(__file__), Path('model')]
    assert {fetch(path) for path in others if path not in videos} == {403}


def test_no_file_is_read_by_its_name(address: str, videos: list[Path]) -> None:
    """A text that is a path is a text; a video is uploaded, not named."""

    def answer(*data: Any) -> str:
        """The server's last event for a search."""
        call = f'{address}/gradio_api/call/search'
        headers = {'Content-Type': 'application/json'}
        body = json.dumps({'data': data}).encode()
        with urllib.request.urlopen(urllib.request.Request(call, body, headers)) as sent:
            event = json.load(sent)['event_id']
        with urllib.request.urlopen(f'{call}/{event}') as events:
            return events.read().decode()

    other = sorted(videos[0].parent.glob('*.mp4'))[-1]  # a good video that is not in the index
    named = {'path': str(other), 'meta': {'_type': 'gradio.FileData'}}
    assert 'event: error' in answer('', named)
    found = answer('/etc/passwd', None)
    assert 'event: complete' in found and found.count('.webp') >= 5
