from typing import Any

import pytest
import torch
from helpers.every_backbone import BACKBONES
from helpers.scored_models import LINEAR, NAMES, build, recognition
from mmaction.registry import MODELS

from mmstan.visualization import class_rank, class_score, pair_score

CLIP = torch.randn(1, 3, 4, 32, 32)
TEXTS = ['a red ball moves', 'a dog']


@pytest.fixture(scope='module')
def verbs_and_nouns() -> Any:
    head = dict(
        type='mmstan.VerbNounHead',
        verb=dict(LINEAR, in_channels=16),
        noun=dict(LINEAR, in_channels=16, num_classes=5),
    )
    return MODELS.build(recognition(BACKBONES['clip'], cls_head=head)).eval()


@pytest.mark.parametrize('name', ['stan, Mug retrieval', 'clip, WTI', 'clip, tight transformer'])
def test_a_pair_s_score_is_the_model_s_similarity(name: str) -> None:
    model = build(name)
    mask = torch.tensor([True, True, True, False])
    samples = [{'frame_mask': mask}]
    for given in (None, samples):
        with torch.no_grad():
            video = model.encode_videos(CLIP, data_samples=given)
            expected = model.similarity(model.encode_texts(TEXTS), video)[:, 0]
        score = pair_score(model, CLIP, TEXTS[0], data_samples=given)
        assert score.requires_grad
        torch.testing.assert_close(score.detach(), expected[0])
        less = pair_score(model, CLIP, TEXTS[0], against=TEXTS[1], data_samples=given)
        torch.testing.assert_close(less.detach(), expected[0] - expected[1])


@pytest.mark.parametrize('name', ['stan, recognition', 'xclip, prompted names'])
def test_a_class_s_score_is_its_logit(name: str) -> None:
    model = build(name)
    with torch.no_grad():
        logits = model.cls_head(model.extract_feat(CLIP[:, None], stage='neck')[0])[0]
    for label, text in enumerate(NAMES):
        of_label = class_score(model, CLIP, labels=[label])
        assert of_label.requires_grad
        torch.testing.assert_close(of_label.detach(), logits[label])
        torch.testing.assert_close(class_score(model, CLIP, text=text), of_label)
        rank = 1 + sorted(logits.tolist(), reverse=True).index(float(logits[label]))
        assert class_rank(model, CLIP, [label]) == (rank,)
    less = class_score(model, CLIP, text=NAMES[0], against=NAMES[2])
    torch.testing.assert_close(less.detach(), logits[0] - logits[2], rtol=1e-4, atol=1e-4)
    assert model.cls_head.class_names == NAMES


def test_linear_heads_have_labels() -> None:
    model = build('evl, linear head')
    with torch.no_grad():
        logits = model.cls_head(model.extract_feat(CLIP[:, None], stage='neck')[0])[0]
    torch.testing.assert_close(class_score(model, CLIP, labels=[2]).detach(), logits[2])
    with pytest.raises(ValueError) as error:
        class_score(model, CLIP, text='a dog')
    assert str(error.value) == (
        "--text 'a dog': TimeSformerHead reads no text; give --label 0 to 2"
    )
    with pytest.raises(ValueError, match=r"^--against 'a dog': TimeSformerHead reads no text; g"):
        class_score(model, CLIP, labels=[1], against='a dog')


def test_a_head_of_two_questions_takes_a_label_each(verbs_and_nouns: Any) -> None:
    features, _ = verbs_and_nouns.extract_feat(CLIP[:, None], stage='neck')
    verbs, nouns = verbs_and_nouns.cls_head(features)
    score = class_score(verbs_and_nouns, CLIP, labels=[2, 4])
    torch.testing.assert_close(score, verbs[0, 2] + nouns[0, 4])
    assert len(class_rank(verbs_and_nouns, CLIP, [2, 4])) == 2
    with pytest.raises(ValueError) as error:
        class_score(verbs_and_nouns, CLIP, labels=[2])
    assert str(error.value) == '--label: 2 given; give --label 0 to 2 and 0 to 4'


@pytest.mark.parametrize('labels', [[-1], [3], [0, 1]])
def test_classes_that_there_are_not(labels: list[int]) -> None:
    with pytest.raises(ValueError) as error:
        class_score(build('clip, recognition'), CLIP, labels=labels)
    given = ' '.join(map(str, labels))
    assert str(error.value) == f'--label: {given} given; give --label 0 to 2 ({", ".join(NAMES)})'
