"""The head's losses, the choice of training boxes, and features of odd boxes."""

import pytest
import torch

from mmstan.models.detection import ActionHead, join_maps, roi_features, train_boxes


def test_numbers_k_that_take_every_class_are_left_out() -> None:
    assert ActionHead(8, num_classes=4, topk=(1, 2, 3, 5)).topk == (1, 2)
    losses = ActionHead(8, num_classes=3).loss(torch.zeros(1, 3), torch.tensor([[0.0, 1, 0]]))
    assert set(losses) == {'loss_action_cls', 'recall@thr=0.5', 'prec@thr=0.5'}


def test_the_loss_of_even_odds_is_the_logarithm_of_two() -> None:
    labels = torch.tensor([[1.0, 1, 0], [0, 0, 0], [1, 0, 0]])  # two rows have no action
    loss = ActionHead(8, num_classes=3).loss(torch.zeros(3, 3), labels)['loss_action_cls']
    assert loss.item() == pytest.approx(0.693147)
    focal = ActionHead(8, num_classes=3, focal_alpha=3.0, focal_gamma=1.0)
    assert focal.loss(torch.zeros(3, 3), labels)['loss_action_cls'].item() == pytest.approx(
        3 * 0.5 * 0.693147
    )


def test_the_mean_over_processes_is_the_mean_over_all_boxes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head, logits = ActionHead(8, num_classes=4), torch.randn(5, 4)
    labels = torch.tensor([[0.0, 1, 0, 1]]).expand(5, 4)
    whole = head.loss(logits, labels)['loss_action_cls']
    # One process has four of the five boxes, the other has one.
    monkeypatch.setattr(
        'mmstan.models.detection.action_head.all_reduce', lambda rows, op: rows.fill_(5 / 2)
    )
    parts = [head.loss(logits[i], labels[i])['loss_action_cls'] for i in (slice(4), slice(4, 5))]
    torch.testing.assert_close(sum(parts) / 2, whole)


def test_recall_and_precision_are_means_over_boxes() -> None:
    head = ActionHead(8, num_classes=5, topk=(2,))
    logits = torch.tensor([[0.0, 3, 2, -1, -2], [9, -1, -2, -3, 4]])
    labels = torch.tensor([[0.0, 1, 0, 1, 0], [0, 0, 0, 0, 1]])
    losses = {name: x.item() for name, x in head.loss(logits, labels).items()}
    assert losses['recall@thr=0.5'] == pytest.approx((1 / 2 + 1) / 2)
    assert losses['prec@thr=0.5'] == pytest.approx((1 / 2 + 1) / 2, abs=1e-5)
    assert losses['recall@top2'] == pytest.approx((1 / 2 + 1) / 2)
    assert losses['prec@top2'] == pytest.approx((1 / 2 + 1 / 2) / 2, abs=1e-5)


def test_a_head_without_actions_is_refused() -> None:
    with pytest.raises(ValueError, match='num_classes=1: the number of actions'):
        ActionHead(8, num_classes=1)


def test_of_more_boxes_than_allowed_a_random_choice_is_taken() -> None:
    gt = torch.arange(40.0)[:, None] * 100 + torch.tensor([0, 0, 50, 50])
    labels = torch.eye(40)
    torch.manual_seed(0)
    boxes, chosen = train_boxes(gt, labels, gt[:0])
    assert boxes.shape == (32, 4) and len(boxes.unique(dim=0)) == 32
    owner = chosen.argmax(dim=1)
    assert torch.equal(boxes, gt[owner]) and torch.equal(chosen, labels[owner])
    assert not torch.equal(owner, train_boxes(gt, labels, gt[:0])[1].argmax(dim=1))


def test_proposals_without_ground_truth_are_not_trained_on() -> None:
    none = torch.zeros(0, 4)
    boxes, labels = train_boxes(none, torch.zeros(0, 7), torch.ones(3, 4))
    assert boxes.shape == (0, 4) and labels.shape == (0, 7)


@pytest.mark.parametrize('pool', ['mean', 'max'])
def test_boxes_without_area_give_zeros(pool: str) -> None:
    boxes = torch.tensor([[5.0, 5, 5, 20], [20, 20, 5, 5], [-50, -50, -40, -40]])
    features = roi_features(
        torch.randn(1, 3, 2, 4, 4),
        [boxes],
        frame_width=32,
        temporal_pool=pool,  # type: ignore[arg-type]
    )
    assert torch.equal(features, torch.zeros(3, 3))


def test_a_whole_frame_of_one_bin_is_its_mean() -> None:
    feature_map = torch.randn(1, 2, 3, 4, 4).bfloat16()
    frame = torch.tensor([[0.0, 0, 32, 32]])
    features = roi_features(feature_map, [frame], frame_width=32, output_size=1)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, feature_map.float().mean(dim=(2, 3, 4)))


def test_maps_are_joined_at_the_first_ones_size_and_the_longest_time() -> None:
    slow, fast = torch.randn(1, 2, 2, 4, 4), torch.randn(1, 1, 8, 2, 2)
    joined = join_maps((slow, fast))
    assert joined.shape == (1, 3, 8, 4, 4)
    assert torch.equal(joined[:, :2], slow.repeat_interleave(4, dim=2))
    assert torch.equal(joined[:, 2:, :, ::2, ::2], fast)
