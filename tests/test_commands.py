"""The command ``mmstan``."""

import csv
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from apis.conftest import Files
from mmengine.config import Config

import mmstan
from mmstan.commands import COMMANDS, list_inputs, main, make_parser

pytest_plugins = ['apis.conftest']
STAN, RETRIEVAL = 'stan/k400_b16', 'mug_stan/msrvtt_b32'


@pytest.fixture
def folder(clips: list[Path], tmp_path: Path) -> Path:
    """Two clips, and a file that is none."""
    videos = tmp_path / 'videos'
    videos.mkdir()
    for number, clip in enumerate(clips[:2]):
        (videos / f'{number}.MP4').write_bytes(clip.read_bytes())
    (videos / '.hidden.mp4').write_bytes(b'')
    (videos / 'notes.txt').write_text('no video')
    return videos


def _model(files: Files) -> list[str]:
    return [files.config, '--weights', files.checkpoint, '--device', 'cpu', '--workers', '0']


def test_predict(
    tiny_files: Callable[[str], Files],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config, *options = _model(tiny_files(STAN))
    out = tmp_path / 'out.csv'
    (tmp_path / 'broken.mp4').write_text('no video')
    videos = [str(folder), str(tmp_path / 'broken.mp4')]
    main(['predict', config, *videos, *options, '--top', '2', '--csv', str(out)])
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 6  # model, three videos, how many are broken, the table
    rows = list(csv.DictReader(out.read_text('utf-8').splitlines()))
    expected = mmstan.load(*tiny_files(STAN), device='cpu', workers=0).classify(folder / '0.MP4')
    assert [row['class'] for row in rows[:2]] == expected.names[:2]
    assert float(rows[0]['score']) == pytest.approx(expected.values[0], abs=1e-5)
    assert 'cannot be opened' in rows[4]['error'] and len(rows) == 5


def test_names_in_place_of_a_file_that_is_not_here(
    tiny_files: Callable[[str], Files],
    clips: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, *options = _model(tiny_files(STAN))
    cfg = Config.fromfile(tiny_files(STAN).config)
    cfg.model.cls_head.class_names = 'data/nowhere.txt'
    cfg.dump(tmp_path / 'config.py')
    (tmp_path / 'names.txt').write_text('run\nsit\n')
    call = ['predict', str(tmp_path / 'config.py'), str(clips[0]), *options]
    with pytest.raises(SystemExit, match=r'error: .*nowhere\.txt.* --class-names FILE'):
        main(call)
    names = ['--class-names', str(tmp_path / 'names.txt')]
    main([*call, *names])
    assert f'{clips[0]}: ' in (said := capsys.readouterr().out)
    assert 'run 0.' in said and 'sit 0.' in said
    of_index = ['--model', call[1], *options[:4], *names]
    main(['index', 'build', str(tmp_path / 'index'), str(clips[0]), *of_index])
    assert '1 video, kind ' in capsys.readouterr().out


def test_predict_with_texts_and_classes(
    tiny_files: Callable[[str], Files],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config, *options = _model(tiny_files(RETRIEVAL))
    table, missing = tmp_path / 'x.csv', str(tmp_path / 'missing.mp4')
    texts = ['--texts', 'a dog', 'a cat']
    main(['predict', config, str(folder), missing, *options, *texts, '--csv', str(table)])
    said = capsys.readouterr().out
    assert "0.MP4: 'a dog' " in said and '1 video of 3 left out' in said
    rows = list(csv.DictReader(table.read_text('utf-8').splitlines()))
    assert [row['text'] for row in rows] == ['a dog', 'a cat'] * 2 + ['']
    assert rows[4]['video'] == missing and rows[4]['error'] and not rows[0]['error']
    with pytest.raises(SystemExit, match='--templates are for class names'):
        main(['predict', config, str(folder), *options, *texts, '--templates', 'a {}'])
    (tmp_path / 'names.txt').write_text('run\nsit\n')
    main(['predict', config, str(folder), *options, '--classes', str(tmp_path / 'names.txt')])
    assert 'run 0.' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='has no classes: give class_names'):
        main(['predict', config, str(folder), *options])


@pytest.mark.parametrize('frames', [False, True])
def test_embed(
    frames: bool, tiny_files: Callable[[str], Files], folder: Path, tmp_path: Path
) -> None:
    config, *options = _model(tiny_files(RETRIEVAL))
    videos = [str(folder), str(tmp_path / 'missing.mp4')]
    more = ['--frames'] if frames else []
    main(['embed', config, *videos, *options, *more, '--out', str(tmp_path / 'x.npz')])
    saved = np.load(tmp_path / 'x.npz')
    assert saved['names'].tolist() == [str(folder / '0.MP4'), str(folder / '1.MP4')]
    model = mmstan.load(*tiny_files(RETRIEVAL), device='cpu', workers=0)
    wanted = model.embed(list_inputs([str(folder)]), frames=frames)
    np.testing.assert_allclose(saved['features'], wanted[0] if frames else wanted, atol=1e-6)
    assert not frames or saved['mask'].shape == (2, 12)
    with pytest.raises(SystemExit, match=r'must end in \.npz'):
        main(['embed', config, str(folder), *options, '--out', 'x.txt'])
    with pytest.raises(SystemExit, match=r'missing\.mp4: cannot be found'):
        main(['embed', config, videos[1], *options, '--out', str(tmp_path / 'y.npz')])
    assert not (tmp_path / 'y.npz').exists()


def test_package_then_predict(
    tiny_files: Callable[[str], Files],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files, saved = tiny_files(STAN), tmp_path / 'saved'
    main(['package', *files, '--out', str(saved)])
    main(['predict', str(saved), str(folder / '0.MP4'), '--device', 'cpu'])
    assert f"mmstan.load('{saved}')" in capsys.readouterr().out


@pytest.mark.parametrize(
    'command',
    [
        ['predict', 'x', 'a.mp4', '--csv'],
        ['embed', 'x', 'a.mp4', '--out'],
        ['index', 'query', 'y', 'a dog', '--model', 'x', '--csv'],
    ],
)
def test_the_place_of_a_file_is_looked_at_before_the_work(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        raise ValueError('loads')

    monkeypatch.setattr('mmstan.load', load)
    monkeypatch.setattr('mmstan.apis.sources.load', load)
    (tmp_path / 'folder.npz').mkdir()
    with pytest.raises(SystemExit, match=r'folder\.npz is a folder; give the path of a file'):
        main([*command, str(tmp_path / 'folder.npz')])
    with pytest.raises(SystemExit, match='loads'):
        main([*command, str(tmp_path / 'new/x.npz')])
    assert (tmp_path / 'new').is_dir()
    (tmp_path / 'file').touch()
    with pytest.raises(SystemExit, match='file'):
        main([*command, str(tmp_path / 'file/x.npz')])


@pytest.mark.parametrize(
    ('command', 'problem'),
    [
        (['predict', 'x', 'a.mp4', '--texts', 'a', '--top', '3'], '--top 3 is of classes'),
        (['package', 'x', 'y', '--out', 'z', '--public'], '--public is of the upload'),
        (['export', 'x', '--out', 'x.pt2', '--opset', '18'], '--opset 18 is of ONNX, and --out'),
    ],
)
def test_options_without_an_effect_are_refused(command: list[str], problem: str) -> None:
    with pytest.raises(SystemExit, match=problem):
        main(command)


def test_every_command_has_help() -> None:
    for name in COMMANDS:
        with pytest.raises(SystemExit) as end:
            make_parser().parse_args([name, '--help'])
        assert end.value.code == 0


def test_module_ends_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('sys.argv', ['mmstan', 'predict', 'stan/k400_b61', 'a.mp4'])
    with pytest.raises(SystemExit, match=r'error: .*did you mean') as end:
        runpy.run_module('mmstan', run_name='__main__')
    assert len(str(end.value).splitlines()) == 1
