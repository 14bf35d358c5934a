"""A folder as people have them, rendered once, and the command in this process."""

from __future__ import annotations

import argparse
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.videos import numbered_frames, write_video

from mmstan.prepare.command import add_options, run

CLASSES = ('brush_hair', 'JumpRope', 'Äpfel schälen')
COUNT = 6


@pytest.fixture(scope='session')
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short videos ``0.mp4`` to ``17.mp4``, of 6 to 23 frames, no two with the same bytes."""
    folder = tmp_path_factory.mktemp('clips')
    for i in range(COUNT * len(CLASSES)):
        write_video(folder / f'{i}.mp4', numbered_frames(6 + i))
    return folder


@pytest.fixture(scope='session')
def untidy(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of six videos and everything that lies about; to be read only."""
    root = tmp_path_factory.mktemp('untidy')
    for i in range(COUNT * len(CLASSES)):
        copy(clips / f'{i}.mp4', root / CLASSES[i // COUNT] / f'clip {i}.mp4')
    whole = (clips / '3.mp4').read_bytes()
    decomposed = unicodedata.normalize('NFD', 'Äpfel schälen/sub/grün.MP4')
    copy(write_video(root / 'x.mp4', numbered_frames(31)), root / decomposed).chmod(0o644)
    (root / 'x.mp4').unlink()
    write_video(root / 'brush_hair/it\'s, "so" 3.avi', numbered_frames(9), codec='mpeg4')
    copy(clips / '7.mp4', root / 'JumpRope/no suffix 7')
    copy(clips / '0.mp4', root / 'JumpRope/copy.mp4')
    (root / 'JumpRope/linked.mp4').symlink_to(clips / '8.mp4')
    (root / 'brush_hair/empty.mp4').touch()
    (root / 'brush_hair/cut.mp4').write_bytes(whole[: len(whole) // 2])
    (root / 'brush_hair/dangling.mp4').symlink_to('nowhere.mp4')
    (root / 'brush_hair/loop').symlink_to(root)
    (root / 'loose.mp4').write_bytes(whole)
    for name in ('.DS_Store', 'brush_hair/._clip 0.mp4', 'JumpRope/Thumbs.db', 'JumpRope/notes.txt',
                 'JumpRope/LICENSE', 'nothing/readme.md'):  # fmt: skip
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text('no video')
    return root


def copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(source, target))


@pytest.fixture
def folder(clips: Path, tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of videos from ``{path: number of the clip}``."""

    def make(files: dict[str, int], name: str = 'videos') -> Path:
        for path, number in files.items():
            copy(clips / f'{number}.mp4', tmp_path / name / path)
        return tmp_path / name

    return make


@pytest.fixture
def prepare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``mmstan prepare SOURCE --out tmp_path/mine OPTIONS``; its lines."""

    def call(source: Path, *options: str, out: str = 'mine') -> str:
        parser = argparse.ArgumentParser()
        add_options(parser)
        run(parser.parse_args([str(source), '--out', str(tmp_path / out), *options]))
        return capsys.readouterr().out

    return call
