"""One tiny dialogue model and one branch for all tests of the chat."""

from pathlib import Path

import pytest
from helpers.tiny_chat import make_branch, save_branch, save_tiny_engine

from mmstan.chat import VideoChat


@pytest.fixture(scope='session')
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a saved LLaVA with C=64, M=4, H=48, to be read only."""
    for package in ('transformers', 'accelerate'):
        pytest.importorskip(package)
    return save_tiny_engine(tmp_path_factory.mktemp('engine'))


@pytest.fixture(scope='session')
def branch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a STAN of K=3 layers that fits the engine, to be read only."""
    return save_branch(tmp_path_factory.mktemp('branch') / 'stan.pth', make_branch())


@pytest.fixture(scope='session')
def chat(engine: Path, branch: Path) -> VideoChat:
    """Both, loaded to the CPU; T = 4."""
    return VideoChat.from_pretrained(
        engine, branch, num_frames=4, local_files_only=True, device_map='cpu'
    )
