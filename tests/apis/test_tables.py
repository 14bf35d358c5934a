"""Features as files."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mmstan.apis.tables import Table, write_features


def test_features_that_are_not_finite_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Model:
        broken = [('broken.mp4', 'cannot be opened')]

        def embed(self, videos: list[str], **_: Any) -> torch.Tensor:
            return torch.tensor([[1.0, 0], [torch.nan] * 2, [torch.inf, 1], [torch.nan, 1]])

    videos: Any = ['good.mp4', 'broken.mp4', 'inf.mp4', 'nan.mp4']
    model: Any = Model()
    write_features(tmp_path / 'x.npz', model, videos, frames=False)
    assert np.load(tmp_path / 'x.npz')['names'].tolist() == ['good.mp4']
    assert capsys.readouterr().out.splitlines() == [
        'broken.mp4: cannot be opened',
        'inf.mp4: its features are not finite',
        'nan.mp4: its features are not finite',
        f'written: {tmp_path}/x.npz, 1 video, (2,)',
        '3 videos of 4 left out, the reasons stand above',
    ]


def test_names_that_are_not_utf_8_are_written(tmp_path: Path) -> None:
    name = 'caf\udce9.mp4'
    Table(['video'], [[name]]).write(tmp_path / 'x.csv')
    assert (tmp_path / 'x.csv').read_bytes() == b'video\r\ncaf\xe9.mp4\r\n'
    model: Any = SimpleNamespace(broken=[], embed=lambda videos, **_: torch.ones(1, 2))
    write_features(tmp_path / 'x.npz', model, [name], frames=False)
    assert np.load(tmp_path / 'x.npz')['names'].tolist() == [name]
    parquet = pytest.importorskip('pyarrow.parquet')
    write_features(tmp_path / 'x.parquet', model, [name], frames=False)
    table = parquet.read_table(tmp_path / 'x.parquet')
    assert table['name'].to_pylist() == ['caf\\udce9.mp4']
