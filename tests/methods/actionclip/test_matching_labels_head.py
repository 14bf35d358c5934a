"""ActionCLIP's loss by its definition, its templates and its gradients."""

from typing import Any

import pytest
import torch
from helpers.text_heads import build, samples
from torch import Tensor

TEMPLATES = ('a video of {}', '{}, an action')


def matching(**options: Any) -> Any:
    return build(type='mmstan.MatchingLabelsHead', templates=TEMPLATES, **options)


def divergence(scores: Tensor, same: Tensor) -> Tensor:
    """As released: the mean over all entries, times the batch."""
    target = torch.softmax(same * 10, 1)
    return (target * (target.log() - scores.log_softmax(1))).mean() * len(scores)


def test_loss_is_the_divergence_both_ways() -> None:
    head, x = matching().train(), torch.randn(4, 16)
    labels = torch.tensor([1, 0, 1, 2])
    torch.manual_seed(3)
    texts = head.texts.draw(labels)
    torch.manual_seed(3)
    loss = head.loss(x, samples(labels.tolist()))['loss_cls']
    scores = 100 * torch.nn.functional.normalize(x, dim=-1) @ texts.sentence.T
    same = (labels[:, None] == labels).float()
    torch.testing.assert_close(loss, (divergence(scores, same) + divergence(scores.T, same)) / 2)


def test_each_video_has_its_class_in_a_template_of_its_own() -> None:
    head = matching()
    every = head.texts._encode(head.texts._ids, 1).sentence.unflatten(0, (-1, 2))  # (K, 2, D)
    drawn = head.texts.draw(torch.tensor([2] * 20)).sentence
    distances = torch.cdist(drawn, every[2])
    assert set(distances.argmin(dim=1).tolist()) == {0, 1}
    assert distances.amin(dim=1).max() < 1e-3


def test_both_towers_learn() -> None:
    head, x = matching(frozen=False).train(), torch.randn(3, 16, requires_grad=True)
    head.loss(x, samples([0, 1, 1]))['loss_cls'].backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is not None for p in head.texts.tower.parameters())


def test_mixed_labels_are_refused() -> None:
    head = matching().train()
    mixed = samples([torch.tensor([0.5, 0.5, 0.0])] * 2)
    with pytest.raises(ValueError, match=r'labels \(2, 3\): MatchingLabelsHead compares whole'):
        head.loss(torch.randn(2, 16), mixed)
