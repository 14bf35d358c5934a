"""``tools/detect.py``: a drawn film, a sheet, a table; a picture of a data set."""

import csv
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from helpers.scripts import script
from helpers.tiny_detectors import TinyDetector, make_detector
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from PIL import Image

from mmstan.apis import person_detector
from mmstan.apis.action_detector import ActionFinder
from mmstan.datasets.moving_shapes.crowd_files import CROWD_CLASSES
from mmstan.datasets.readers import open_video

BLUE = np.array([9, 105, 218])


@pytest.fixture(scope='module')
def detector(moving_shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> TinyDetector:
    return make_detector(moving_shapes.parent, tmp_path_factory.mktemp('detector'))


@pytest.fixture
def tool() -> Any:
    return script('detect')


@pytest.fixture
def film(moving_shapes: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(moving_shapes / 'detection/test/000000.mp4', tmp_path / 'film.mp4'))


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """At second 1 the right half, at second 4 nothing that is good enough but the best."""
    path = tmp_path / 'boxes.csv'
    path.write_text('film,1,0.5,0,1,1,0.95\nfilm,1,0,0,0.5,0.5,0.3\nfilm,4,0,0,0.5,1,0.5\n')
    return path


def call(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    options = [] if '--data' in arguments else ['--device', 'cpu']
    monkeypatch.setattr('sys.argv', ['detect.py', *map(str, arguments), *options])
    tool.main()


def read_pixels(path: Path) -> np.ndarray:
    with open_video(path) as video:
        return np.stack(video.read(range(video.num_frames))).astype(int)


def read_image(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert('RGB')).astype(int)


def test_a_film_is_drawn(
    detector: TinyDetector,
    tool: ModuleType,
    film: Path,
    boxes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / 'out'
    call(tool, monkeypatch, *detector, film, '--boxes', boxes, '--out', out)
    assert f'{out / "film.mp4"}, {out / "film.png"}, ' in (said := capsys.readouterr().out)
    assert said.rstrip().endswith('2 persons at 2 key frames')
    before, after = read_pixels(film), read_pixels(out / 'film.mp4')
    assert before.shape == after.shape == (48, 48, 48, 3)
    # The box's left side stands in column 24 until frame 20 (2.5 s), then in column 0.
    side = np.abs(after - BLUE).max(-1)[:, 30:46] < 90
    assert side[:19, :, 24].mean() > 0.8 and side[22:, :, 24].mean() < 0.2
    assert side[22:, :, 0].mean() > 0.8 and side[:19, :, 0].mean() < 0.2
    untouched = np.abs(after - before)[:20, 20:, 2:20]
    assert untouched.mean() < 4  # of encoding it again
    assert read_image(out / 'film.png').shape[1] > 300


def test_scores_are_the_ones_of_the_test_set(
    detector: TinyDetector,
    tool: ModuleType,
    moving_shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same boxes and key frames as in the data set give the same scores."""
    cfg = Config.fromfile(detector.config)
    init_default_scope('mmaction')
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    cfg.load_from = str(detector.checkpoint)
    finder = ActionFinder(cfg, device='cpu')
    with torch.inference_mode():
        (expected,) = finder.model.test_step(pseudo_collate([dataset[0]]))
    root = moving_shapes / 'detection'
    proposals, film = root / 'test_proposals.csv', root / 'test/000000.mp4'
    options = ['--boxes', proposals, '--action-score', 0, '--out', tmp_path]
    call(tool, monkeypatch, *detector, film, *options)
    with open(tmp_path / '000000.csv', newline='') as file:
        rows = [row for row in csv.reader(file) if row[1] == '0001']
    persons = expected.pred_instances
    assert len(rows) == 12 * len(persons.scores)
    found = {(tuple(row[2:6]), int(row[6])): float(row[7]) for row in rows}
    for box, scores in zip(persons.bboxes.tolist(), persons.scores):
        sides = tuple(f'{side:.3f}' for side in box)
        for action in range(1, 13):
            assert found[sides, action] == pytest.approx(scores[action].item(), abs=1e-4)
    assert {(int(row[6]), row[8]) for row in rows} == set(enumerate(CROWD_CLASSES, start=1))


def test_a_film_is_opened_once_for_all_key_frames(
    detector: TinyDetector, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = Config.fromfile(detector.config)
    cfg.load_from = str(detector.checkpoint)
    finder, opened = ActionFinder(cfg, device='cpu'), []

    def count(*given: Any) -> Any:
        opened.append(given)
        return open_video(*given)

    monkeypatch.setattr('mmstan.apis.action_detector.open_video', count)
    monkeypatch.setattr('mmstan.datasets.transforms.read_frames.open_video', count)
    persons = {second: np.array([[0, 0, 1, 1, 1]], np.float32) for second in (1.0, 2.0, 3.0)}
    assert [second for second, _ in finder.find_actions(str(film), persons)] == [1, 2, 3]
    assert len(opened) == 1


def test_a_video_without_persons_is_copied(
    detector: TinyDetector,
    tool: ModuleType,
    film: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Blind:
        def find_in_video(self, video: str, choose: Any) -> Any:
            for second in choose(48, 8.0):
                yield second, np.array([[0, 0, 1, 1, 0.89]])

    monkeypatch.setattr(tool, 'PersonDetector', lambda weights, device: Blind())
    options = ['--persons', 'any.pth', '--every', 2, '--out', tmp_path / 'out']
    call(tool, monkeypatch, *detector, film, *options)
    said = capsys.readouterr().out
    assert 'an undrawn copy, since there is no person (0 persons at 2 key frames)' in said
    assert np.abs(read_pixels(tmp_path / 'out/film.mp4') - read_pixels(film)).mean() < 4
    assert not (tmp_path / 'out/film.png').exists()
    assert (tmp_path / 'out/film.csv').read_text() == ''


@pytest.mark.parametrize('pixels', [False, True])
def test_a_broken_video_does_not_end_the_others(
    pixels: bool,
    detector: TinyDetector,
    tool: ModuleType,
    film: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken, out = tmp_path / 'broken.mp4', tmp_path / 'out'
    broken.write_text('no video')
    boxes = tmp_path / 'boxes.csv'
    boxes.write_text('broken,1,0,0,1,1,1\nfilm,1,0,0,1,1,1\n')
    more = ['--pixels'] if pixels else []
    with pytest.raises(SystemExit, match='error: 1 of 2 videos cannot be read, the reasons stand'):
        call(tool, monkeypatch, *detector, broken, film, '--boxes', boxes, '--out', out, *more)
    said = capsys.readouterr().out
    assert f'{broken}: cannot be opened' in said and '1 person at 1 key frame' in said
    assert (out / 'film.mp4').exists() and not (out / 'broken.mp4').exists()


def test_persons_are_found_video_by_video(
    detector: TinyDetector,
    tool: ModuleType,
    film: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []

    class Blind:
        def find_in_video(self, video: str, choose: Any) -> Any:
            order.append(f'find {Path(video).stem}')
            yield 1.0, np.empty((0, 5))

    def show(finder: Any, video: str, persons: Any, **_: Any) -> None:
        order.append(f'show {Path(video).stem}')

    monkeypatch.setattr(tool, 'PersonDetector', lambda weights, device: Blind())
    monkeypatch.setattr(tool, 'show_actions', show)
    call(tool, monkeypatch, *detector, film, 'b.mp4', '--persons', 'any.pth')
    assert order == ['find film', 'show film', 'find b', 'show b']


def test_a_data_set_is_drawn(
    detector: TinyDetector,
    tool: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ['--data', detector.config, '--split', 'train', '--number', 3, '--out', tmp_path]
    call(tool, monkeypatch, *options)
    assert 'detector_train.png: 3 of 35 key frames' in capsys.readouterr().out
    image = read_image(tmp_path / 'detector_train.png')
    for color in ((26, 127, 55), (154, 103, 0)):  # annotated, and proposals
        assert (np.abs(image - color).max(-1) < 12).sum() > 200


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            ['--persons', 'no.pth'],
            r'error: no\.pth: there are no such weights of a person detector',
        ),
        (['--boxes', 'no.csv'], r"error: --boxes='no\.csv' does not exist"),
        (['--boxes', 'no.json'], r'error: .*no\.json'),
    ],
)
def test_missing_files_take_one_line(
    options: list[str],
    message: str,
    detector: TinyDetector,
    tool: ModuleType,
    film: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(person_detector, 'get_dir', lambda: str(tmp_path))
    with pytest.raises(SystemExit, match=message) as stop:
        call(tool, monkeypatch, *detector, film, *options)
    assert '\n' not in str(stop.value)


def test_weights_that_do_not_fit_take_one_line(
    detector: TinyDetector,
    tool: ModuleType,
    film: Path,
    boxes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = torch.load(detector.checkpoint, weights_only=True)['state_dict']
    del state['roi_head.bbox_head.fc_cls.bias']
    torch.save(dict(state_dict=state), tmp_path / 'other.pth')
    with pytest.raises(
        SystemExit, match=r'other\.pth.*1 missing: roi_head\.bbox_head\.fc_cls\.bias'
    ):
        call(tool, monkeypatch, detector.config, tmp_path / 'other.pth', film, '--boxes', boxes)


def test_what_is_written_never_replaces_a_video(
    detector: TinyDetector,
    tool: ModuleType,
    film: Path,
    boxes: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (film.parent / 'more').mkdir()
    namesake = shutil.copy(film, film.parent / 'more/film.mp4')
    with pytest.raises(SystemExit, match='have the same name'):
        call(tool, monkeypatch, *detector, film, namesake, '--boxes', boxes)
    with pytest.raises(SystemExit, match='is the video itself; give another folder'):
        call(tool, monkeypatch, *detector, film, '--boxes', boxes, '--out', film.parent)
    boxes = boxes.rename(film.parent / 'more/film.csv')
    with pytest.raises(SystemExit, match=r'film\.csv is the file of --boxes; give another folder'):
        call(tool, monkeypatch, *detector, film, '--boxes', boxes, '--out', boxes.parent)


def test_a_recognizer_finds_no_persons(
    detector: TinyDetector,
    tool: ModuleType,
    film: Path,
    boxes: Path,
    zero_shot: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SystemExit, match='Recognizer3D finds no actions of persons'):
        call(tool, monkeypatch, zero_shot, detector.checkpoint, film, '--boxes', boxes)
