"""Training on Moving Shapes from shared towers: which runs count, and which are made again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.benchmark_systems import MEAN, STAN

from mmstan.benchmark import learning, runs
from mmstan.benchmark.learning import plan_system, train


class Trainings:
    """Takes the place of training and testing: writes a checkpoint with ``weight``."""

    def __init__(self) -> None:
        self.weight, self.systems = 1.0, []

    def run(self, tool: str, *args: str) -> None:
        if tool == 'test.py':
            return
        work_dir = Path(args[args.index('--work-dir') + 1])
        self.systems.append(work_dir.name.split('_')[0])
        state = {'backbone.tower.visual.proj': torch.full((2,), self.weight)}
        torch.save(dict(state_dict=state), work_dir / 'epoch_1.pth')
        (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_1.pth'))

    def take(self) -> list[str]:
        """The systems that were trained since the last call."""
        found, self.systems = self.systems, []
        return found


@pytest.fixture
def trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainings:
    monkeypatch.chdir(tmp_path)
    for task in ('retrieval', 'recognition'):
        write_manifest(task, '{}')
    found = Trainings()
    monkeypatch.setattr(runs, 'run', found.run)
    monkeypatch.setattr(runs, 'read_predictions', lambda _: (np.array([0, 1]), np.array([0, 0])))
    monkeypatch.setattr(learning, 'read_retrieval_figures', lambda _: {'t2v/R1': 30.0})
    monkeypatch.setattr(learning, 'generate', lambda **_: None)
    return found


def write_manifest(task: str, text: str) -> None:
    path = Path('data/moving_shapes/small', task, 'manifest.json')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_towers_that_are_trained_again_are_another_start(trainings: Trainings) -> None:
    folder = Path('runs')
    towers, system = plan_system(STAN, 0, folder)
    train(STAN, 0, folder)
    assert trainings.take() == ['towers', 'stan'] and system.score == 50
    train(STAN, 0, folder)
    assert not trainings.take()
    (system.work_dir / 'result.json').write_text('{"top-1"')
    assert system.score is None
    train(STAN, 0, folder)
    assert trainings.take() == ['stan']
    towers.forget()  # as --again does for another system
    trainings.weight = 2.0
    train(MEAN, 0, folder)
    assert trainings.take() == ['towers', 'clip'] and system.score is None
    train(STAN, 0, folder)
    assert trainings.take() == ['stan'] and system.score == 50


def test_towers_of_other_data_are_trained_again(trainings: Trainings) -> None:
    folder = Path('runs')
    towers, _ = plan_system(STAN, 0, folder)
    train(STAN, 0, folder)
    trainings.take()
    write_manifest('retrieval', '{"version": 2}')
    trainings.weight = 2.0
    train(STAN, 0, folder)
    assert trainings.take() == ['towers', 'stan']
    assert torch.load(towers.work_dir / 'towers.pt')['visual.proj'].tolist() == [2, 2]
