"""Parts of narrated videos, next to the windows of the authors' own functions."""

import json
from pathlib import Path
from typing import Any

import pytest
from parity.test_parity import ROOT

from mmstan.datasets.video_text.narration import clean_narration, merge_captions, widen_caption

CASES = [
    pytest.param(video, id=f'{path.parent.relative_to(ROOT)}-{number}')
    for path in sorted(ROOT.rglob('narration_windows.json'))
    for number, video in enumerate(json.loads(path.read_text()))
]


@pytest.mark.parametrize('video', CASES)
def test_windows(video: dict[str, Any]) -> None:
    """``nearest3`` and ``nearest5`` are for a loss over several captions, which mmstan has not."""
    captions, left_out = clean_narration(video)
    assert left_out == 0
    for expected in video['expected']:
        index = expected['i']
        window = widen_caption(captions, index, 4.0)
        assert window[:2] == pytest.approx(expected['window_min4'], abs=1e-6, rel=0)
        assert window.text == video['text'][index]
        for name, words in (('merged_min5s', 0), ('merged_min5s_8words', 8)):
            merged, golden = merge_captions(captions, index, 5.0, words), expected[name]
            times = golden['start'], golden['end']
            assert merged[:2] == pytest.approx(times, abs=1e-6, rel=0)
            assert merged.text == golden['text']


def test_there_are_cases_where_there_is_a_folder() -> None:
    if not Path(ROOT).is_dir():
        pytest.skip(f'no golden cases in {ROOT}')
    assert CASES
