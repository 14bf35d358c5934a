"""The functions behind ``mmstan index``, on rendered clips and a real, tiny model."""

import argparse
import csv
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from apis.conftest import Files

from mmstan.apis.search import Hit, SearchIndex
from mmstan.apis.search.command import add_options, answer, run
from mmstan.apis.video_model import VideoModel
from mmstan.cli import one_line_errors

pytest_plugins = ['apis.conftest']
MUG = 'mug_stan/msrvtt_b32'


@pytest.fixture
def folder(clips: list[Path], tmp_path: Path) -> Path:
    (tmp_path / 'videos').mkdir()
    for number, clip in enumerate(clips):
        (tmp_path / f'videos/{number}.mp4').write_bytes(clip.read_bytes())
    return tmp_path / 'videos'


@pytest.fixture
def index(tiny_files: Callable[[str], Files]) -> Callable[..., None]:
    """``index('build', folder, ...)``: runs the command."""
    config, weights = tiny_files(MUG)
    model = ['--model', config, '--weights', weights, '--device', 'cpu']

    def call(action: str, *arguments: Any) -> None:
        parser = argparse.ArgumentParser()
        add_options(parser)
        of_model = model if action in ('build', 'add', 'query') else []
        run(parser.parse_args([action, *map(str, arguments), *of_model]))

    return call


def test_build_query_add_remove_info(
    index: Callable[..., None],
    folder: Path,
    tmp_path: Path,
    tiny_model: Callable[[str], VideoModel],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    where, model = tmp_path / 'index', tiny_model(MUG)
    index('build', where, folder, '--store', 'float32')
    assert capsys.readouterr().out.splitlines()[-1] == f'{where}: 5 videos, kind fp16'
    # Scores are the model's own, as it gives them without an index.
    paths = sorted(folder.iterdir())
    expected = model.similarity(['a red circle'], paths)[0]
    found = tmp_path / 'found.csv'
    index('query', where, 'a red circle', paths[3], '--top', '4', '--csv', found)
    lines = capsys.readouterr().out.splitlines()
    rows = list(csv.DictReader(found.read_text().splitlines()))
    assert len(rows) == 8 and [row['rank'] for row in rows] == 2 * ['1', '2', '3', '4']
    order = expected.argsort(descending=True)[:4].tolist()
    assert [row['name'] for row in rows[:4]] == [str(paths[i]) for i in order]
    scores = torch.tensor([float(row['score']) for row in rows[:4]])
    torch.testing.assert_close(scores, expected[order], atol=1e-5, rtol=0)
    assert rows[4]['query'] == rows[4]['name'] == str(paths[3])
    assert lines[-10] == 'a red circle'
    assert lines[-9] == f'    1. {rows[0]["name"]}  {scores[0]:.4f}'
    # Queries typed one after another; an error does not end them.
    monkeypatch.setattr('sys.stdin', io.StringIO('a blue square\n\nmissing.mp4\n'))
    index('query', where, '--interactive', '--top', '2')
    said = capsys.readouterr()
    assert 'a blue square' in said.out and said.out.count('    1. ') == 1
    assert "error: there is no video 'missing.mp4'" in said.err
    index('remove', where, paths[0])
    assert capsys.readouterr().out == f'{where}: 1 video removed\n'
    paths[1].unlink()
    index('add', where)
    assert capsys.readouterr().out.splitlines()[-1] == f'{where}: 1 added, 1 removed'
    index('info', where)
    said_of_it = capsys.readouterr().out
    assert said_of_it.startswith(f'{where}: 4 videos, 0 not indexed\n')
    assert f'  identity: {model.identity}\n' in said_of_it and '  kind: fp16\n' in said_of_it


def test_a_video_finds_itself_by_its_frames(
    clips: list[Path], tmp_path: Path, tiny_model: Callable[[str], VideoModel]
) -> None:
    model = tiny_model(MUG)
    index = SearchIndex.build(model, clips, tmp_path / 'index')
    hits = index.search(clips[2])
    assert hits[0].name == str(clips[2]) and hits[0].score == pytest.approx(1, abs=1e-3)
    by_pixels = index.search(model.frames(clips[2]))
    assert [hit.name for hit in by_pixels] == [hit.name for hit in hits]


def test_a_query_is_needed(index: Callable[..., None], folder: Path, tmp_path: Path) -> None:
    index('build', tmp_path / 'index', folder / '0.mp4')
    with pytest.raises(ValueError, match=r'^query: give a text or the path of a video, or --inter'):
        index('query', tmp_path / 'index')


def test_hits_that_are_not_utf_8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hit = Hit('caf\udce9.mp4', 0.5)
    index: Any = SimpleNamespace(search=lambda *_, **__: [hit])
    args = argparse.Namespace(
        queries=['a'], interactive=False, top=1, candidates=1, csv=tmp_path / 'x.csv'
    )
    with one_line_errors():
        answer(index, args)
    assert b'a,1,caf\xe9.mp4,0.5' in (tmp_path / 'x.csv').read_bytes()
    assert 'caf\\udce9.mp4  0.5000' in capsys.readouterr().out


def test_segments(
    index: Callable[..., None], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index('build', tmp_path / 'index', folder / '0.mp4', '--segments', 1, 0.5, '--kind', 'brute')
    index('query', tmp_path / 'index', 'a circle', '--top', 1)
    assert ' s]  ' in capsys.readouterr().out.splitlines()[-1]
