"""Detection with every backbone: the map, its gradients, a recognizer's weights."""

import re

import pytest
import torch
import torch.nn.functional as F
from helpers.detection import make_detector, make_sample
from helpers.every_backbone import CASES, SIZE, T
from helpers.tiny_models import COCA_TOWER, shaken
from torch import Tensor

from mmstan.compat.new_parts import find_new_parts
from mmstan.compat.state_dicts import fit_state
from mmstan.models.backbones import VideoBackbone
from mmstan.models.detection import ActionDetector, FeatureMap
from mmstan.registry import MODELS

CLIP = (3, T, SIZE, SIZE)


@pytest.fixture(scope='module', params=CASES)
def detector(request: pytest.FixtureRequest) -> ActionDetector:
    torch.manual_seed(0)
    detector = make_detector(CASES[request.param])
    shaken(detector)  # layers that start at zero do something
    return detector


def normalise(backbone: VideoBackbone, tokens: Tensor) -> Tensor:
    """The last norm, by open_clip's and MMPretrain's names of it."""
    if (
        tokens.shape[-1] == backbone.tower.width
        and getattr(backbone, 'integration', False) is False
    ):
        norm = getattr(backbone.tower.visual, 'ln_post', None) or backbone.tower.visual.ln1
        return norm(tokens)
    return F.layer_norm(tokens, tokens.shape[-1:], eps=1e-5)


@torch.no_grad()
def test_the_map_has_the_tokens_after_the_last_norm(detector: ActionDetector) -> None:
    backbone, clip = detector.eval().backbone, torch.randn(2, *CLIP)
    tokens, feature_map = backbone.tokens(clip), detector(clip)
    n, t, c = 2, tokens.shape[1], backbone.map_width
    assert feature_map.shape == (n, c, t, SIZE // 8, SIZE // 8)
    patches = normalise(backbone, tokens)[:, :, 1:]
    for row, column in ((0, 0), (1, 3), (3, 1)):  # patches lie row by row
        expected = patches[:, :, row * (SIZE // 8) + column]
        torch.testing.assert_close(feature_map[..., row, column], expected.transpose(1, 2))


@torch.no_grad()
def test_a_clips_map_does_not_depend_on_its_batch(detector: ActionDetector) -> None:
    clip = torch.randn(3, *CLIP)
    together = detector.eval()(clip)
    torch.testing.assert_close(together[1:2], detector(clip[1:2]), rtol=1e-4, atol=1e-5)


def test_every_trainable_parameter_gets_a_gradient(detector: ActionDetector) -> None:
    detector.zero_grad()
    sample = make_sample([(2, 3, 20, 30), (1, 1, 30, 12)])
    losses = detector.eval()(torch.randn(1, *CLIP), [sample], mode='loss')
    losses['loss_action_cls'].backward()
    trained = {name: p for name, p in detector.named_parameters() if p.requires_grad}
    assert not [name for name, p in trained.items() if p.grad is None]
    assert any(p.grad.any() for p in trained.values() if p.grad is not None)


def test_a_recognizers_weights_load(detector: ActionDetector) -> None:
    backbone = {f'backbone.{k}': x + 1 for k, x in detector.backbone.state_dict().items()}
    state = {**backbone, 'cls_head.fc_cls.weight': torch.ones(3, 8), 'neck.scale': torch.ones(1)}
    fitted = fit_state(detector, state, source='a.pth', new_parts=find_new_parts(detector, state))
    assert all(torch.equal(fitted[name], x) for name, x in backbone.items())
    head = detector.roi_head.state_dict(prefix='roi_head.')
    assert all(torch.equal(fitted[name], x) for name, x in head.items())
    assert fitted.keys() == backbone.keys() | head.keys()


@pytest.mark.parametrize('height', [32, 48])
def test_frames_need_not_be_square(height: int) -> None:
    detector = make_detector(dict(CASES['stan, trained tower']))
    assert detector(torch.randn(1, 3, T, height, 64)).shape == (1, 32, T, height // 8, 8)


@pytest.mark.parametrize(
    'name', ['mmstan.FrameEncoder', 'mmstan.STAN', 'mmstan.XCLIP', 'mmstan.TemporalShift']
)
def test_towers_that_pool_their_patches_are_refused(name: str) -> None:
    said = 'detection takes CLIP towers; explicit sizes pools its patches'
    options = dict(levels=(3, 4)) if name == 'mmstan.STAN' else {}
    cfg = dict(type=name, tower=COCA_TOWER, **options)
    for build in (make_detector, FeatureMap):
        with pytest.raises(ValueError, match=re.escape(said)):
            build(cfg)
    with pytest.raises(ValueError, match=re.escape(said)):
        MODELS.build(cfg).feature_map(torch.randn(1, *CLIP))
