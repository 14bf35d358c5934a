from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmstan.models.losses import contrastive as losses
from mmstan.models.losses.contrastive import contrastive_loss


class Rows(NamedTuple):
    x: Tensor


def rows(n: int, seed: int) -> Rows:
    return Rows(torch.randn(n, 4, generator=torch.Generator().manual_seed(seed)))


def test_a_transposed_tensor_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_gather(parts: list[Tensor], x: Tensor) -> None:
        assert all(part.is_contiguous() for part in (*parts, x))  # or gloo refuses them
        for rank, part in enumerate(parts):
            part.copy_(x + rank)

    monkeypatch.setattr(losses, 'get_world_size', lambda: 2)
    monkeypatch.setattr('torch.distributed.all_gather', all_gather)
    x = torch.arange(6.0).view(2, 3).T
    assert torch.equal(losses.gather(Rows(x)).x, torch.cat([x, x + 1]))


@pytest.mark.parametrize('world_size', [1, 2, 5])
def test_a_process_scores_its_own_rows_and_columns(
    world_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All together are the loss of one process; each computes at most 2 / W of the matrix."""
    n = 3
    text, video = rows(n * world_size, 0), rows(n * world_size, 1)
    shapes = []

    def score(a: Rows, b: Rows) -> Tensor:
        shapes.append((len(a.x), len(b.x)))
        return a.x @ b.x.T

    logits = text.x @ video.x.T
    target = torch.arange(n * world_size)
    expected = F.cross_entropy(logits, target), F.cross_entropy(logits.T, target)
    parts = []
    monkeypatch.setattr(losses, 'get_world_size', lambda: world_size)
    for rank in range(world_size):
        mine = slice(rank * n, rank * n + n)
        local_text, local_video = Rows(text.x[mine]), Rows(video.x[mine])
        monkeypatch.setattr(losses, 'get_rank', lambda rank=rank: rank)
        monkeypatch.setattr(
            losses, 'gather', lambda part, t=local_text: text if part is t else video
        )
        parts.append(torch.stack(contrastive_loss(score, local_text, local_video)))
    torch.testing.assert_close(torch.stack(parts).mean(0), torch.stack(expected))
    pairs = sum(a * b for a, b in shapes)
    assert pairs == min(world_size, 2) * (n * world_size) ** 2
