from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from torch import Tensor

from mmstan.apis import layer_pictures


def test_padded_frames_take_no_part_in_cka(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two groups of layers, one of which sees every second frame."""
    mask = torch.tensor([True, True, True, False, False, False])
    sample = ActionDataSample()
    sample.set_field(mask, 'frame_mask')

    def make_tokens(_: Any) -> dict[str, list[Tensor]]:
        every = torch.where(mask[:, None, None], torch.randn(6, 8, 3), torch.nan)[None]
        return dict(tower=[every, 2 * every], branch=[every[:, ::2]], output=[every])

    layers: Any = SimpleNamespace(
        dataset=range(3), sample=lambda index: dict(data_samples=sample), tokens=make_tokens
    )
    seen: dict[str, list[Tensor]] = {}
    monkeypatch.setattr(
        layer_pictures, 'draw_cka', lambda path, features: seen.update(features) or np.eye(3)
    )
    layer_pictures.show_cka(layers, videos=2, patches=40, path=tmp_path / 'cka.png')
    # Frames 0 and 2 of both videos, 8 patches each.
    assert {name: [len(x) for x in found] for name, found in seen.items()} == {
        'tower': [32, 32],
        'branch': [32],
    }
    assert all(x.isfinite().all() for found in seen.values() for x in found)
    assert seen['tower'][0].equal(seen['branch'][0])
