"""``tools/chat.py``: streaming, turns, both answers, a picture; rendered and filmed videos."""

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers.scripts import PROJECT, script
from helpers.tiny_chat import make_branch, save_branch, save_tiny_engine
from PIL import Image

FOLDER = Path(os.environ.get('MMSTAN_VIDEOS') or PROJECT / '../shared/videos').resolve()
FILMED = sorted(FOLDER.glob('*.*'))
FILMED = [path for path in FILMED if path.suffix in ('.mp4', '.avi')]


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp('chat')
    return save_tiny_engine(folder / 'engine'), save_branch(folder / 'stan.pth', make_branch())


@pytest.fixture
def tool() -> ModuleType:
    return script('chat')


@pytest.fixture
def video(moving_shapes: Path) -> Path:
    return moving_shapes / 'recognition/test/000000.mp4'


def run(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path], *options: object
) -> None:
    engine, branch = files
    command = ['chat.py', engine, '--branch', branch, '--frames', 4, '--temperature', 0]
    monkeypatch.setattr(sys, 'argv', [*map(str, [*command, '--max-new-tokens', 6, *options])])
    tool.main()


def list_answers(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Printed lines without the log: the tiny branch is of another tower."""
    return [x for x in capsys.readouterr().out.splitlines() if not x.startswith('WARNING')]


def test_turns_both_answers_and_a_picture(
    tool: ModuleType,
    files: tuple[Path, Path],
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    drawn: dict[str, Any] = {}
    draw = tool.draw_dialogue
    monkeypatch.setattr(
        tool, 'draw_dialogue', lambda *args: (drawn.update(turns=args[2]), draw(*args))
    )
    picture = tmp_path / 'chat.png'
    questions = ['what happens here ?', 'which way ?']
    options = ['--video', video, '--compare', '--out', picture, '--question', *questions]
    run(tool, monkeypatch, files, *options)
    lines = list_answers(capsys)
    starts = ['> what happens here ?', 'LLaVA: ', 'STAN-LLaVA: ', '> which way ?', 'LLaVA: ']
    assert len(lines) == 6
    assert all(line.startswith(start) for line, start in zip(lines, starts))
    turns = drawn['turns']
    assert [turn.question for turn in turns] == questions
    assert [f'{k}: {v}' for turn in turns for k, v in turn.answers.items()] == [
        lines[i].rstrip() for i in (1, 2, 4, 5)
    ]
    with Image.open(picture) as image:
        assert image.width > 500


def test_questions_are_read_until_an_empty_line(
    tool: ModuleType,
    files: tuple[Path, Path],
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = iter(['which way ?', 'what colour ?', '', 'never read'])
    monkeypatch.setattr('builtins.input', lambda prompt: next(lines))
    run(tool, monkeypatch, files, '--video', video, '--branch-weight', 0)
    assert [line.split(':')[0] for line in list_answers(capsys)] == ['LLaVA', 'LLaVA']


@pytest.mark.parametrize('path', FILMED, ids=[path.name for path in FILMED])
def test_filmed_videos(
    tool: ModuleType,
    files: tuple[Path, Path],
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(tool, monkeypatch, files, '--video', path, '--question', 'what happens here ?')
    assert 'STAN-LLaVA: ' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--video', 'no.mp4', '--question', 'which way ?'], r'^error: .*no\.mp4'),
        (['--video', 'no.mp4', '--frames', 65], '^error: 65 frames, but max_frames=64'),
        (['--video', 'no.mp4', '--branch', 'no.pth'], r'^error: .*no\.pth'),
    ],
)
def test_errors_are_one_line(
    tool: ModuleType,
    files: tuple[Path, Path],
    options: list[Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SystemExit, match=message) as error:
        run(tool, monkeypatch, files, *options)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ([], 'give --video FILE, or --web'),
        (['--compare', '--branch-weight', 0], '--compare needs'),
        (['--web'], '--video does not go with --web'),
        (['--port', 80], '--port is an option of --web'),
    ],
)
def test_options_that_do_not_go_together(
    tool: ModuleType,
    files: tuple[Path, Path],
    options: list[Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        run(tool, monkeypatch, files, *options, *(['--video', 'x'] if options else []))
    assert message in capsys.readouterr().err


def test_the_page_is_of_this_machine_and_asks_for_gradio(
    tool: ModuleType, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(tool, 'launch', lambda *args, **options: asked.update(options))
    run(tool, monkeypatch, files, '--web')
    assert asked == dict(host='127.0.0.1', port=None)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, 'gradio', None)
    with pytest.raises(SystemExit, match=r'^error: the page needs gradio: pip install "mmstan'):
        run(tool, monkeypatch, files, '--web')
