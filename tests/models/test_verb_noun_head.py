from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.tiny_models import WORDS, shaken
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

from mmstan.methods.dist import FusedTextHead
from mmstan.models import TextHead, VerbNounHead

VERBS, NOUNS = ['take', 'put', 'wash'], ['tap', 'spoon', 'pan', 'chopping board']


def text_head(names: list[str], **arguments: Any) -> dict[str, Any]:
    tower = dict(type='mmstan.TextTower', model=WORDS, frozen=True)
    cfg = dict(type='mmstan.TextHead', class_names=names, text_tower=tower, logit_scale=5.0)
    return dict(cfg, **arguments)


@pytest.fixture
def head() -> VerbNounHead:
    cfg = dict(type='mmstan.VerbNounHead', verb=text_head(VERBS), noun=text_head(NOUNS))
    head: VerbNounHead = MODELS.build(cfg)
    return shaken(head)


def samples(*labels: tuple[int, int]) -> list[ActionDataSample]:
    return [ActionDataSample().set_gt_label(label) for label in labels]


def test_losses_are_those_of_both_heads(head: VerbNounHead) -> None:
    x = torch.randn(2, 16, requires_grad=True)
    losses = head.loss(x, samples((2, 0), (1, 3)))
    assert losses.keys() == {'loss_verb', 'verb_top1_acc', 'loss_noun', 'noun_top1_acc'}
    verb, noun = head(x)
    torch.testing.assert_close(losses['loss_verb'], F.cross_entropy(verb, torch.tensor([2, 1])))
    torch.testing.assert_close(losses['loss_noun'], F.cross_entropy(noun, torch.tensor([0, 3])))
    (losses['loss_verb'] + losses['loss_noun']).backward()
    assert x.grad.abs().min() > 0


@torch.no_grad()
@pytest.mark.parametrize('views', [1, 3])
def test_actions_are_products_averaged_over_views(views: int, head: VerbNounHead) -> None:
    x = torch.randn(2 * views, 16)
    found = head.predict(x, samples((0, 0), (1, 1)))
    verb, noun = (scores.softmax(-1).double() for scores in head(x))
    for i, sample in enumerate(found):
        expected = torch.zeros(3, 4, dtype=torch.double)
        for view in range(i * views, (i + 1) * views):
            for v in range(3):
                for n in range(4):
                    expected[v, n] += verb[view, v] * noun[view, n] / views
        torch.testing.assert_close(sample.pred_score.double(), expected, atol=1e-6, rtol=1e-5)
        v, n = sample.pred_label.tolist()
        assert expected[v, n] == expected.max()
        of_verbs = verb[i * views : (i + 1) * views].mean(0)
        torch.testing.assert_close(sample.pred_score.sum(1).double(), of_verbs)


def test_each_head_has_its_own_settings() -> None:
    noun = text_head(NOUNS, templates=('a photo of a {}',), label_smooth_eps=0.1)
    cfg = dict(type='mmstan.VerbNounHead', verb=text_head(VERBS), noun=noun)
    head: VerbNounHead = MODELS.build(cfg)
    x = torch.randn(2, 16)
    losses = head.loss(x, samples((2, 0), (1, 3)))
    smooth = F.cross_entropy(head.noun(x), torch.tensor([0, 3]), label_smoothing=0.1)
    torch.testing.assert_close(losses['loss_noun'], smooth)


# --- the head that adds plain CLIP ---


def fused(**arguments: Any) -> FusedTextHead:
    torch.manual_seed(1)
    return MODELS.build(text_head(VERBS, type='mmstan.FusedTextHead', **arguments))


@torch.no_grad()
@pytest.mark.parametrize('weight', [0.0, 0.3, 0.5, 1.0])
def test_fused_scores(weight: float) -> None:
    head = fused(frame_weight=weight)
    video, frames = torch.randn(2, 16), torch.randn(2, 5, 16)
    names = head.texts().sentence
    of_video = F.cosine_similarity(video[:, None], names[None], dim=-1)
    of_frames = F.cosine_similarity(frames[:, :, None], names, dim=-1).mean(dim=1)
    expected = 5.0 * ((1 - weight) * of_video + weight * of_frames)
    torch.testing.assert_close(head((video, frames)), expected, atol=1e-5, rtol=1e-5)


def test_fusing_is_half_and_half_and_has_no_weights_of_its_own() -> None:
    head = fused()
    plain: TextHead = MODELS.build(text_head(VERBS))
    plain.load_state_dict(head.state_dict())
    video, frames = torch.randn(2, 16), torch.randn(2, 5, 16)
    rows = [(plain(video)[i] + plain(frames[i]).mean(0)) / 2 for i in range(2)]
    torch.testing.assert_close(head((video, frames)), torch.stack(rows))


def test_features_without_frames() -> None:
    with pytest.raises(ValueError, match=r'of videos and of frames, got Tensor; let the backbone'):
        fused()(torch.randn(2, 16))
    with pytest.raises(ValueError, match=r'frame_weight=1\.5 must lie in \[0, 1\]'):
        fused(frame_weight=1.5)
