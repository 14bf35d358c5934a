"""torchvision's detector with weights of a file, which are random here."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from helpers.scripts import script
from torchvision.models.detection import fasterrcnn_resnet50_fpn_v2

from mmstan.apis import person_detector
from mmstan.apis.person_detector import WEIGHTS, PersonDetector
from mmstan.apis.person_proposals import write_proposals
from mmstan.datasets.readers import BrokenVideoError, open_video

SHORT = 32  # pixels, so that it takes moments


@pytest.fixture(scope='module')
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torchvision's, of a detector that takes everything for a person."""
    torch.manual_seed(0)
    model = fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None)
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.bias[1] += 4
    path = tmp_path_factory.mktemp('persons') / WEIGHTS
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture(scope='module')
def detector(weights: Path) -> PersonDetector:
    return PersonDetector(weights, device='cpu', short=SHORT)


def test_persons_are_fractions_with_scores_the_best_first(detector: PersonDetector) -> None:
    frames = [np.random.randint(0, 255, (48, 64, 3), np.uint8), np.zeros((40, 40, 3), np.uint8)]
    for boxes in detector.find(frames):
        assert boxes.ndim == 2 and boxes.shape[1] == 5 and len(boxes)
        assert (boxes >= 0).all() and (boxes <= 1).all()
        assert (np.diff(boxes[:, 4]) <= 0).all()
        assert (boxes[:, :2] <= boxes[:, 2:4]).all()


def test_other_classes_are_left_out(detector: PersonDetector) -> None:
    output = dict(
        boxes=torch.tensor([[0.0, 0, 8, 8], [4, 4, 16, 8]]),
        labels=torch.tensor([3, 1]),
        scores=torch.tensor([0.9, 0.8]),
    )
    found = person_detector._take_persons(output, torch.empty(3, 8, 16))
    np.testing.assert_allclose(found, [[0.25, 0.5, 1, 1, 0.8]], rtol=1e-6)


def test_proposals_of_a_data_set(
    detector: PersonDetector, moving_shapes: Path, tmp_path: Path
) -> None:
    folder, annotations = moving_shapes / 'detection/test', tmp_path / 'actions.csv'
    lines = (moving_shapes / 'detection/test.csv').read_text().splitlines()
    wanted = [line for line in lines if line[:6] in ('000000', '000001')]
    annotations.write_text('\n'.join([*wanted, '999999,0001,0,0,1,1,1,1']) + '\n')
    said = write_proposals(
        detector, str(folder), tmp_path / 'out/p.csv', annotations=str(annotations)
    )
    with open(tmp_path / 'out/p.csv', newline='') as file:
        rows = list(csv.reader(file))
    frames = {tuple(row[:2]) for row in rows}
    assert frames == {(f'00000{v}', f'000{t}') for v in (0, 1) for t in (1, 3, 5)}
    assert f'{len(rows)} boxes at 6 key frames; 1 videos have no file: 999999' in said


def test_the_command_finds_persons_each_few_seconds(
    detector: PersonDetector,
    moving_shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / 'videos').mkdir()
    (tmp_path / 'videos/a.mp4').symlink_to(moving_shapes / 'detection/test/000000.mp4')
    tool, out = script('data/detect_persons'), tmp_path / 'p.csv'
    monkeypatch.setattr(tool, 'PersonDetector', lambda weights, device: detector)
    arguments = [str(tmp_path / 'videos'), 'weights.pth', str(out), '--every', '2.5']
    monkeypatch.setattr('sys.argv', ['detect_persons.py', *arguments, '--device', 'cpu'])
    tool.main()
    assert {line.split(',')[1] for line in out.read_text().splitlines()} == {'2.5', '0005'}
    assert 'at 2 key frames' in capsys.readouterr().out
    arguments += ['--annotations', 'actions.csv']
    monkeypatch.setattr('sys.argv', ['detect_persons.py', *arguments])
    with pytest.raises(SystemExit):
        tool.main()
    assert '--every is not for --annotations' in capsys.readouterr().err


class AnyPerson:
    """Finds one person at each key frame, quickly."""

    def find_in_video(self, video: str, choose: Any) -> Iterator[tuple[float, np.ndarray]]:
        with open_video(video) as reader:
            for second in choose(reader.num_frames, reader.avg_fps, times=None):
                yield second, np.array([[0, 0, 0.5, 1, 0.9]])
                if Path(video).stem == 'c':
                    raise BrokenVideoError(video, 'frame 24 of 48 cannot be decoded')


def test_broken_videos_are_named_and_the_others_written(
    moving_shapes: Path, tmp_path: Path
) -> None:
    videos, out, detector = tmp_path / 'videos', tmp_path / 'p.csv', cast(Any, AnyPerson())
    videos.mkdir()
    (videos / 'b.mp4').write_bytes(b'no video')
    with pytest.raises(ValueError, match=r'1 video cannot be read: .*b\.mp4: cannot be opened'):
        write_proposals(detector, str(videos), out)
    assert not list(tmp_path.glob('p.csv*'))
    for name in ('a', 'c'):
        (videos / f'{name}.mp4').symlink_to(moving_shapes / 'detection/test/000000.mp4')
    said = write_proposals(detector, str(videos), out, every=2)
    assert [line[:6] for line in out.read_text().splitlines()] == ['a,0002', 'a,0004']
    assert '2 boxes at 2 key frames; 2 videos cannot be read: ' in said
    assert 'b.mp4: cannot be opened' in said and 'c.mp4: frame 24 of 48' in said


def test_weights_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(FileNotFoundError, match=rf'download https://.*/{WEIGHTS}'):
        PersonDetector('no.pth')


def test_weights_of_the_hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    path = tmp_path / 'hub/checkpoints' / WEIGHTS
    path.parent.mkdir(parents=True)
    path.touch()
    assert person_detector.find_person_weights(WEIGHTS) == path


def test_weights_of_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person_detector, '_build', lambda short: torch.nn.Linear(2, 2))
    torch.save({'layer.weight': torch.zeros(2, 2)}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'other\.pth .*2 missing: bias, weight'):
        PersonDetector(tmp_path / 'other.pth', device='cpu')
