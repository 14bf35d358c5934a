"""What the readers' tests share."""

import pytest

from mmstan.datasets.readers import pyav


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV's reader keeps neither bytes nor pictures, as of large files."""
    monkeypatch.setattr(pyav, '_KEEP_BYTES', 0)
    monkeypatch.setattr(pyav, '_KEEP_PICTURES', 0)
