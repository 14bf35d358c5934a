"""Features as files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmstan.apis.tables import write_features


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
