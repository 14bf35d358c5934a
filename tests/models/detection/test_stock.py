"""MMAction2's own backbones in our detector, and our backbones in MMAction2's detector."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.detection import CLASSES, make_detector, make_sample
from helpers.tiny_models import TOWER, shaken
from mmaction.structures import ActionDataSample
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from torch import nn

from mmstan.compat.mmdet import find_mmdet_problem
from mmstan.models.detection import ActionDetector, FeatureMap
from mmstan.registry import MODELS

VIT = dict(
    type='mmaction.VisionTransformer',
    img_size=32,
    patch_size=8,
    embed_dims=32,
    depth=1,
    num_heads=2,
    num_frames=4,
    use_mean_pooling=False,
    return_feat_map=True,
)
PATHWAY = dict(
    type='resnet3d', depth=50, pretrained=None, conv1_kernel=(1, 7, 7), dilations=(1, 1, 1, 1),
    conv1_stride_t=1, pool1_stride_t=1, spatial_strides=(1, 2, 2, 1),
)  # fmt: skip
SLOW = dict(PATHWAY, lateral=True, inflate=(0, 0, 1, 1), fusion_kernel=7)
FAST = dict(PATHWAY, lateral=False, base_channels=8, conv1_kernel=(5, 7, 7))
SLOW_FAST = dict(
    type='mmaction.ResNet3dSlowFast',
    pretrained=None,
    resample_rate=4,
    speed_ratio=4,
    channel_ratio=8,
    slow_pathway=SLOW,
    fast_pathway=FAST,
)
STAN = dict(type='mmstan.STAN', tower=TOWER, levels=(3, 4))


def make_stock_head(channels: int) -> dict[str, Any]:
    head = dict(type='mmstan.ActionHead', in_channels=channels, num_classes=CLASSES, dropout=0.0)
    return dict(bbox_head=head)


@pytest.mark.parametrize(
    ('backbone', 'device', 'clip', 'expected'),
    [
        (VIT, 'cpu', (2, 3, 4, 32, 32), (2, 32, 2, 4, 4)),
        (SLOW_FAST, 'meta', (1, 3, 32, 64, 96), (1, 2048 + 256, 32, 4, 6)),
    ],
    ids=['vit', 'slowfast'],
)
def test_stock_backbones(
    backbone: dict[str, Any], device: str, clip: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    with torch.device(device):  # meta: nothing is computed but the shapes
        detector = make_detector(backbone, **make_stock_head(expected[1]))
        assert detector.eval()(torch.zeros(clip)).shape == expected
        own = MODELS.build(backbone).state_dict(prefix='backbone.')
    fc = {'roi_head.bbox_head.fc_cls.weight', 'roi_head.bbox_head.fc_cls.bias'}
    assert detector.state_dict().keys() == own.keys() | fc  # a stock FastRCNN's


def test_the_adapter_gives_the_map_and_reads_a_recognizers_checkpoint(tmp_path: Path) -> None:
    recognizer = shaken(MODELS.build(STAN))
    state = {f'backbone.{name}': x for name, x in recognizer.state_dict().items()}
    torch.save(dict(state_dict={**state, 'cls_head.bias': torch.ones(2)}), tmp_path / 'k400.pth')
    start = dict(type='Pretrained', checkpoint=str(tmp_path / 'k400.pth'))
    adapter = FeatureMap(STAN, init_cfg=start)
    adapter.init_weights()
    clip = torch.randn(1, 3, 2, 32, 48)
    assert torch.equal(adapter.eval()(clip), recognizer.eval().feature_map(clip))
    assert not adapter.backbone.tower.visual.proj.requires_grad

    del state['backbone.tower.visual.conv1.weight']
    torch.save(dict(state_dict=state), tmp_path / 'part.pth')
    part = FeatureMap(STAN, init_cfg=dict(start, checkpoint=str(tmp_path / 'part.pth')))
    with pytest.raises(ValueError, match=r'1 missing: backbone\.tower\.visual\.conv1\.weight'):
        part.init_weights()


# --- with MMDetection ---


def make_stock_detector(detector: ActionDetector) -> nn.Module:
    """MMDetection's ``FastRCNN`` around the same backbone, with the same weights."""
    head = dict(
        type='BBoxHeadAVA', background_class=True, in_channels=32, num_classes=CLASSES,
        multilabel=True, topk=(3,),
    )  # fmt: skip
    cfg = dict(
        type='FastRCNN',
        _scope_='mmdet',
        backbone=dict(type='mmstan.FeatureMap', _scope_='mmaction', backbone=STAN),
        roi_head=dict(
            type='AVARoIHead',
            bbox_roi_extractor=dict(
                type='SingleRoIExtractor3D', featmap_stride=8, output_size=8,
            ),
            bbox_head=head,
        ),
        train_cfg=dict(
            rcnn=dict(
                assigner=dict(
                    type='MaxIoUAssignerAVA', pos_iou_thr=0.9, neg_iou_thr=0.9, min_pos_iou=0.9
                ),
                sampler=dict(
                    type='RandomSampler', num=32, pos_fraction=1, neg_pos_ub=-1,
                    add_gt_as_proposals=True,
                ),
                pos_weight=1.0,
            )
        ),
        test_cfg=dict(rcnn=None),
    )  # fmt: skip
    init_default_scope('mmaction')
    stock = MODELS.build(ConfigDict(cfg))
    names = detector.state_dict()
    stock.load_state_dict(
        {f'backbone.{k}' if k.startswith('backbone.') else k: x for k, x in names.items()}
    )
    return stock.eval()


def make_samples() -> list[ActionDataSample]:
    first = [(2.0, 3.0, 20.0, 30.0), (8.0, 0.0, 44.0, 16.0)]
    near = (2.0, 3.0, 20.0, 29.5)
    meta = dict(img_shape=(32, 48), scale_factor=(1.0, 1.0))
    return [
        make_sample(first, [near, (0.0, 4.0, 9.0, 30.0)], **meta),
        make_sample([(4.0, 4.0, 30.0, 30.0)], [near], **meta),
    ]


@pytest.mark.skipif(find_mmdet_problem() is not None, reason=f'mmdet: {find_mmdet_problem()}')
def test_the_stock_detector_gives_the_same() -> None:
    torch.manual_seed(0)
    detector = shaken(make_detector(STAN)).eval()
    stock = make_stock_detector(detector)
    clip = torch.randn(2, 3, 4, 32, 48)
    losses = [
        model(clip, copy.deepcopy(make_samples()), mode='loss') for model in (detector, stock)
    ]
    torch.testing.assert_close(losses[0], losses[1], rtol=0, atol=1e-6)
    for of_model in losses:
        of_model['loss_action_cls'].backward()
    gradients = dict(stock.named_parameters())
    for name, parameter in detector.named_parameters():
        if parameter.requires_grad:
            theirs = gradients[f'backbone.{name}' if name.startswith('backbone.') else name].grad
            torch.testing.assert_close(parameter.grad, theirs, rtol=0, atol=1e-6)
    with torch.no_grad():
        ours = detector(clip, make_samples(), mode='predict')
        for i, sample in enumerate(ours):  # the stock detector tests one clip at a time
            (alone,) = stock(clip[i : i + 1], [make_samples()[i]], mode='predict')
            for field in ('bboxes', 'scores'):
                torch.testing.assert_close(
                    sample.pred_instances[field], alone.pred_instances[field], rtol=0, atol=1e-6
                )
