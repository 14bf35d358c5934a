import math
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from mmstan.models.features import VideoFeatures, l2_normalise
from mmstan.visualization import (
    Alignment,
    OwnFrames,
    compare_own_frames,
    compute_recall_by_level,
    draw_levels,
    draw_misalignment,
    format_misalignment,
    measure_alignment,
)


def frames_of(rows: list[list[float]]) -> OwnFrames:
    """Cosines, NaN where there is no frame."""
    similarities = torch.tensor(rows)
    return OwnFrames(similarities, ~similarities.isnan(), mismatched=0.2)


def test_own_and_mismatched_pairs() -> None:
    torch.manual_seed(0)
    sentences, frames = torch.randn(7, 16), torch.randn(4, 5, 16)
    mask = torch.arange(5) < torch.tensor([5, 3, 1, 4])[:, None]
    owners = torch.tensor([0, 0, 1, 2, 2, 2, 3])
    own = compare_own_frames(sentences, VideoFeatures(frames, mask), owners)
    cosines = torch.einsum('ad,btd->abt', l2_normalise(sentences), l2_normalise(frames))
    torch.testing.assert_close(own.similarities, cosines[range(7), owners])
    assert torch.equal(own.mask, mask[owners])
    others = [
        cosines[a, b, t]
        for a in range(7)
        for b in range(4)
        for t in range(5)
        if b != owners[a] and mask[b, t]
    ]
    assert own.mismatched == pytest.approx(torch.stack(others).mean().item(), abs=1e-6)
    grown = frames.masked_fill(~mask[..., None], 100.0)  # padding does not count
    again = compare_own_frames(sentences, VideoFeatures(grown, mask), owners)
    assert again.mismatched == pytest.approx(own.mismatched, abs=1e-6)


def test_more_captions_than_are_compared_at_once() -> None:
    torch.manual_seed(0)
    sentences, frames = torch.randn(2500, 4), torch.randn(3, 2, 4)
    owners = torch.randint(3, (2500,))
    video = VideoFeatures(frames, torch.ones(3, 2, dtype=torch.bool))
    expected = torch.einsum('ad,atd->at', l2_normalise(sentences), l2_normalise(frames)[owners])
    torch.testing.assert_close(compare_own_frames(sentences, video, owners).similarities, expected)


def test_a_single_video() -> None:
    video = VideoFeatures(torch.randn(1, 3, 4), torch.ones(1, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match=r'1 video: mismatched pairs need at least two'):
        compare_own_frames(torch.randn(2, 4), video, torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize(
    ('aligned', 'frames', 'level'),
    [
        (3, 3, 0),
        (2, 3, 1),  # two thirds are not more than two thirds
        (1, 3, 1),
        (0, 3, 2),
        (9, 12, 0),
        (8, 12, 1),
        (4, 12, 1),
        (3, 12, 2),
        (1, 1, 0),
        (0, 1, 2),
        (43, 64, 0),
        (42, 64, 1),
        (22, 64, 1),
        (21, 64, 2),
    ],
)
@pytest.mark.parametrize('padding', [0, 7])
def test_levels(aligned: int, frames: int, level: int, padding: int) -> None:
    row = [0.31] * aligned + [0.29] * (frames - aligned) + [math.nan] * padding
    found = measure_alignment(frames_of([row]), offset=0.3)
    assert found.levels.tolist() == [level]
    assert found.frames == pytest.approx(aligned / frames)
    assert found.shares == [float(level == other) for other in range(3)]


def test_the_offset_decides() -> None:
    own = frames_of([[0.1, 0.2, 0.3], [0.3, 0.3, 0.3], [-0.1, -0.1, 0.1]])
    literally = measure_alignment(own, offset=0.0)
    assert literally.levels.tolist() == [0, 0, 1]
    assert literally.frames == pytest.approx(7 / 9)
    by_chance = measure_alignment(own, offset=0.25)
    assert by_chance.levels.tolist() == [1, 0, 2]
    assert by_chance.shares == pytest.approx([1 / 3] * 3)


LEVELS = torch.tensor([0, 0, 0, 0, 2, 2])
RANKS = torch.tensor([1, 1, 1, 2, 1, 1.5], dtype=torch.float64)


def test_recall_by_level() -> None:
    recalls = compute_recall_by_level(LEVELS, RANKS)
    assert list(recalls) == ['up', 'middle', 'bottom']
    assert recalls['up'] == 75
    assert math.isnan(recalls['middle'])
    assert recalls['bottom'] == 50  # a tie is not the first place


def test_table() -> None:
    table = format_misalignment({'literally': Alignment(0.0, 0.5, LEVELS)}, RANKS)
    assert table.splitlines()[0].count('R@1') == 3
    row = '| 0.000 (literally) | 50.0 % | 66.7 %, 75.0 | 0.0 %, - | 33.3 %, 50.0 |'
    assert table.splitlines()[2:] == [row]


def test_bars_of_levels() -> None:
    axes = Figure().add_subplot()
    draw_levels(axes, Alignment(0.0, 0.5, LEVELS), RANKS, title='literally')
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([400 / 6, 0, 200 / 6])
    assert [text.get_text() for text in axes.texts] == ['67 %\nR@1 75.0', '0 %', '33 %\nR@1 50.0']


@pytest.mark.parametrize('offsets', [(0.0,), (0.0, 0.2)])
def test_report(
    offsets: tuple[float, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, 'savefig', lambda self, path, **_: drawn.append(self))
    own = frames_of([[0.1, 0.2, math.nan], [0.3, 0.3, 0.3]])
    ranks: Tensor = torch.ones(2)
    alignments = {f'offset {offset}': measure_alignment(own, offset=offset) for offset in offsets}
    draw_misalignment(tmp_path / 'report.png', own, alignments, ranks)
    (figure,) = drawn
    histogram, *bars = figure.axes
    assert sum(bar.get_height() for bar in histogram.patches) == 5  # real frames
    assert [line.get_xdata()[0] for line in histogram.lines] == list(offsets)
    assert len(bars) == len(offsets)
