from pathlib import Path

import pytest

from mmstan.datasets.moving_shapes import generate


@pytest.fixture(scope='session')
def moving_shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny Moving Shapes."""
    return generate(tmp_path_factory.mktemp('data'), size='tiny', workers=1)
