"""The detector: its inputs, boxes, modes and messages."""

import re
from typing import Any

import pytest
import torch
from helpers.detection import CLASSES, make_detector, make_sample
from mmaction.structures import ActionDataSample
from mmaction.structures.bbox import bbox2result
from torch import Tensor

from mmstan.models.detection import ActionDetector
from mmstan.registry import MODELS

BOX = (2.0, 3.0, 20.0, 30.0)
OTHER = (8.0, 0.0, 28.0, 16.0)
EMPTY = (0.0, 0.0, 0.0, 30.0)
SPAN = (8.0, 0.0, 12.0, 32.0)


@pytest.fixture(scope='module')
def detector() -> ActionDetector:
    torch.manual_seed(0)
    return make_detector().eval()


@pytest.fixture(scope='module')
def clip() -> Tensor:
    return torch.randn(2, 3, 4, 32, 48, generator=torch.Generator().manual_seed(0))


def test_predictions_are_fractions_and_sigmoids(detector: ActionDetector, clip: Tensor) -> None:
    samples = [make_sample([], [BOX, OTHER]), make_sample([], [OTHER])]
    first, second = detector(clip, samples, mode='predict')
    expected = torch.tensor([[2 / 48, 3 / 32, 20 / 48, 30 / 32], [8 / 48, 0, 28 / 48, 0.5]])
    torch.testing.assert_close(first.pred_instances.bboxes, expected)
    assert first.pred_instances.scores.shape == (2, CLASSES)
    assert second.pred_instances.scores.shape == (1, CLASSES)
    assert ((first.pred_instances.scores > 0) & (first.pred_instances.scores < 1)).all()
    # A clip alone has the same scores as in a batch, and so has a box.
    alone = detector(clip[1:], [make_sample([], [OTHER])], mode='predict')[0]
    torch.testing.assert_close(alone.pred_instances.scores, second.pred_instances.scores)
    found = bbox2result(expected, first.pred_instances.scores.detach(), CLASSES, thr=0.0)
    assert [len(boxes) for boxes in found] == [2] * (CLASSES - 1)  # as the stock metric reads them


def test_one_run_of_the_backbone_for_any_number_of_boxes(
    detector: ActionDetector, clip: Tensor
) -> None:
    calls: list[int] = []
    handle = detector.backbone.tower.visual.conv1.register_forward_hook(lambda *_: calls.append(1))
    detector(clip, [make_sample([], [BOX] * 50), make_sample([], [OTHER])], mode='predict')
    handle.remove()
    assert len(calls) == 1


@pytest.mark.parametrize('boxes', [((), ()), ((BOX,), ())])
def test_clips_without_boxes(detector: ActionDetector, clip: Tensor, boxes: Any) -> None:
    samples = [make_sample(of_clip, of_clip) for of_clip in boxes]
    found = detector(clip, samples, mode='predict')
    assert [len(sample.pred_instances) for sample in found] == [len(x) for x in boxes]
    losses = detector(clip, samples, mode='loss')
    losses['loss_action_cls'].backward()
    assert (losses['loss_action_cls'] == 0) == (not any(boxes))
    assert len(losses) == (1 if not any(boxes) else 5)  # recall and precision of no box are none
    trained = [p for p in detector.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    detector.zero_grad()


def test_emptied_boxes_are_left_out_and_counted(
    clip: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = make_detector().eval()
    left_out = make_sample([BOX, EMPTY, OTHER, (0, 0, 3.9, 30), SPAN], [EMPTY])
    left_out.gt_instances.labels = torch.eye(CLASSES)[[1, 2, 3, 4, 1]]
    kept = make_sample([BOX, OTHER, SPAN])
    kept.gt_instances.labels = torch.eye(CLASSES)[[1, 3, 1]]
    with_empty = detector(clip[:1], [left_out], mode='loss')
    without = detector(clip[:1], [kept], mode='loss')
    assert with_empty == without
    said: list[str] = []
    monkeypatch.setattr(
        'mmstan.models.detection.roi_head.print_log', lambda text, *_: said.append(text)
    )
    for _ in range(2):  # said once an epoch, then counted from 0
        detector.train()
    assert len(said) == 1 and said[0].startswith('2 of 8 boxes were left out')


def test_close_proposals_are_trained_on(detector: ActionDetector, clip: Tensor) -> None:
    near = (2.0, 3.0, 20.0, 29.5)
    one = detector(clip[:1], [make_sample([BOX], [near, OTHER])], mode='loss')
    two = make_sample([BOX, near], None)
    two.gt_instances.labels = torch.eye(CLASSES)[[1, 1]]
    assert one == detector(clip[:1], [two], mode='loss')
    assert one != detector(clip[:1], [make_sample([BOX], None)], mode='loss')


@pytest.mark.parametrize('field', ['of the boxes', 'of the sample'])
def test_scores_of_persons(clip: Tensor, field: str) -> None:
    torch.manual_seed(0)
    times, plain = make_detector(person_score=True).eval(), make_detector().eval()
    plain.load_state_dict(times.state_dict())
    sample = make_sample([], [BOX, OTHER])
    with pytest.raises(ValueError, match='key frame film, 902 has no scores of its persons'):
        times(clip[:1], [sample], mode='predict')
    before = plain(clip[:1], [sample], mode='predict')[0].pred_instances.scores
    if field == 'of the boxes':
        sample.proposals.scores = torch.tensor([0.5, 0.25])
    else:
        sample.set_field([0.5, 0.25], 'scores')
    after = times(clip[:1], [sample], mode='predict')[0].pred_instances.scores
    torch.testing.assert_close(after, before * torch.tensor([[0.5], [0.25]]))


def test_boxes_of_a_crop_come_out_in_the_frame(detector: ActionDetector, clip: Tensor) -> None:
    sample = make_sample([], [(0.0, 0.0, 48.0, 16.0)], crop_quadruple=[0.25, 0.5, 0.5, 0.4])
    found = detector(clip[:1], [sample], mode='predict')[0].pred_instances.bboxes
    torch.testing.assert_close(found, torch.tensor([[0.25, 0.5, 0.75, 0.7]]))


def test_the_head_runs_in_float32_under_autocast(clip: Tensor) -> None:
    detector = make_detector().eval()
    dtypes: list[torch.dtype] = []
    detector.roi_head.bbox_head.register_forward_hook(lambda _, x, y: dtypes.append(y.dtype))
    with torch.autocast('cpu', torch.bfloat16):
        losses = detector(clip, [make_sample([BOX]), make_sample([OTHER])], mode='loss')
    assert dtypes == [torch.float32] and losses['loss_action_cls'].dtype == torch.float32


def test_one_view_with_its_axis_is_the_same(detector: ActionDetector, clip: Tensor) -> None:
    torch.testing.assert_close(detector(clip[:, None]), detector(clip))


@pytest.mark.parametrize(
    ('shape', 'mode', 'meta', 'said'),
    [
        ((1, 2, 3, 4, 32, 32), 'predict', {}, 'takes one clip of a key frame'),
        ((1, 4, 3, 32, 32), 'loss', {}, "FormatShape('NCTHW', collapse=True)"),
        ((1, 3, 4, 32, 48), 'los', {}, "mode='los' must be"),
        (
            (1, 3, 4, 32, 48),
            'predict',
            dict(img_shape=(32, 40)),
            'a clip of 32x40 pixels in a batch of 32x48',
        ),
    ],
)
def test_wrong_inputs(
    detector: ActionDetector, shape: tuple[int, ...], mode: Any, meta: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        detector(torch.randn(shape), [make_sample([], [BOX], **meta)], mode=mode)


def test_samples_without_boxes_or_with_other_labels(detector: ActionDetector, clip: Tensor) -> None:
    with pytest.raises(ValueError, match='key frame film, 902 has no proposals'):
        detector(clip[:1], [make_sample([BOX], None)], mode='predict')
    other = make_sample([BOX])
    other.gt_instances.labels = torch.ones(1, 81)
    with pytest.raises(ValueError, match=r'labels \(1, 81\), but the head has num_classes=6'):
        detector(clip[:1], [other], mode='loss')


@pytest.mark.parametrize('step', ['val_step', 'test_step'])
def test_the_black_clip_of_a_broken_video_takes_the_size_of_its_batch(step: str) -> None:
    torch.manual_seed(0)
    detector = make_detector().eval()
    preprocessor = dict(type='mmaction.ActionDataPreprocessor', format_shape='NCTHW')
    detector.data_preprocessor = MODELS.build(preprocessor)
    clip, black = torch.randint(256, (3, 4, 32, 48)).byte(), torch.zeros(3, 4, 64, 64).byte()
    run = getattr(detector, step)

    def make(**meta: Any) -> ActionDataSample:
        return make_sample([], [BOX], **meta)

    (alone,) = run(dict(inputs=[clip], data_samples=[make(img_shape=(32, 48))]))
    broken = make(img_shape=(64, 64), broken=[('b.mp4', 'is empty')])
    samples = [broken, make(img_shape=(32, 48))]
    empty, whole = run(dict(inputs=[black, clip], data_samples=samples))
    torch.testing.assert_close(whole.pred_instances.scores, alone.pred_instances.scores)
    assert (empty.img_shape, empty.broken[0][0]) == ((32, 48), 'b.mp4')
    other = make(img_shape=(64, 64))  # of another size, and whole
    with pytest.raises(ValueError, match='a clip of 32x48 pixels in a batch of 64x64'):
        run(dict(inputs=[black, clip], data_samples=[other, make(img_shape=(32, 48))]))


def test_channels_of_the_head() -> None:
    def with_channels(channels: int | None) -> dict[str, Any]:
        channels_of = {} if channels is None else dict(in_channels=channels)
        return dict(type='mmstan.ActionHead', num_classes=CLASSES, **channels_of)

    foreign = dict(
        type='mmaction.ResNet3dSlowOnly',
        depth=18,
        base_channels=4,
        pretrained=None,
        norm_eval=False,
    )
    with pytest.raises(ValueError, match='in_channels=7, but the map of the backbone has 32'):
        make_detector(bbox_head=with_channels(7))
    with pytest.raises(ValueError, match='bbox_head has no in_channels'):
        make_detector(foreign, bbox_head=with_channels(None))
    assert make_detector(bbox_head=with_channels(32)).roi_head.bbox_head.in_channels == 32


def test_an_unknown_pool_is_refused() -> None:
    with pytest.raises(ValueError, match="temporal_pool='avg' must be one of 'mean', 'max'"):
        make_detector(temporal_pool='avg')
