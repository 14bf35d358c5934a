"""A checkpoint's time table of another length is stretched when it is loaded; the log says so."""

from typing import Any
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from helpers.tiny_models import TOWER
from mmaction.registry import MODELS

from mmstan.models.layers import time_table

STAN = dict(type='mmstan.STAN', tower=TOWER, levels=(3, 4), networks=2)
SPACE_TIME = dict(type='mmstan.JointSpaceTime', tower=TOWER)
EVL = dict(type='mmstan.EVL', tower=TOWER, layers=2, image_size=32)
LAYERS = dict(width=16, heads=2, layers=1)
# Clips of T frames read the first T rows, so a longer table is cut.
READ_FIRST = {
    'mmstan.STAN',
    'mmstan.SequenceTransformer',
    'mmstan.TemporalDifference',
    'mmstan.TightTransformer',
}
# A module, its argument for the length, its table, and rows before it that belong to no frame.
CASES: list[tuple[dict[str, Any], str, str, int]] = [
    (STAN, 'max_frames', 'branches.1.time_embedding', 0),
    (SPACE_TIME, 'num_frames', 'time_embedding', 0),
    (EVL, 'num_frames', 'layers.1.time_embedding', 0),
    (dict(LAYERS, type='mmstan.SequenceTransformer'), 'max_frames', 'positions', 0),
    (dict(LAYERS, type='mmstan.TemporalDifference'), 'max_frames', 'positions', 0),
    (dict(LAYERS, type='mmstan.TightTransformer'), 'max_frames', 'positions', 1),
    (dict(LAYERS, type='mmstan.SequenceClassToken'), 'num_frames', 'positions', 1),
]


@pytest.mark.parametrize('case', CASES, ids=lambda case: case[0]['type'])
@pytest.mark.parametrize('theirs', [3, 6, 9])
def test_a_table_of_another_length(case: tuple[Any, ...], theirs: int) -> None:
    cfg, length, name, first = case
    source, target = (MODELS.build({**cfg, length: n}) for n in (theirs, 6))
    state = {key: torch.randn_like(x) for key, x in source.state_dict().items()}
    rows = state[name].clone().reshape(first + theirs, -1)
    with mock.patch.object(time_table, 'print_log') as log:
        target.load_state_dict(state)
    # Frame i of T' takes row i * T // T' in TimeSformer, whose clips of other lengths do so too.
    how = dict(mode='nearest') if cfg is SPACE_TIME else dict(mode='linear', align_corners=False)
    stretched = F.interpolate(rows[first:].T[None], 6, **how)[0].T
    if cfg['type'] in READ_FIRST and theirs > 6:
        stretched = rows[first : first + 6]
    loaded = target.state_dict()[name].reshape(first + 6, -1)
    assert torch.equal(loaded, torch.cat([rows[:first], stretched]))
    said = [call.args[0] for call in log.call_args_list if name in call.args[0]]
    assert len(said) == (theirs != 6)
    assert all(f'{theirs} frames -> 6' in text for text in said)
    keep = cfg['type'] in READ_FIRST and theirs < 6
    assert all(('keep max_frames=3' in text) == keep for text in said)


def test_tables_of_another_width_are_refused() -> None:
    target = MODELS.build(dict(LAYERS, type='mmstan.SequenceTransformer'))
    with pytest.raises(RuntimeError, match='size mismatch for positions'):
        target.load_state_dict({**target.state_dict(), 'positions': torch.zeros(5, 24)})
