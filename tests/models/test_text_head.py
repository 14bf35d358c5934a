from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers.text_heads import NAMES, OTHERS, Calls, batch_of, build, expected, recognizer, samples
from helpers.tiny_models import COCA, shaken
from mmaction.registry import MODELS

from mmstan.models import TextHead


@pytest.fixture
def head() -> TextHead:
    return build()


# --- scores ---


@torch.no_grad()
@pytest.mark.parametrize('frozen', [True, False])
@pytest.mark.parametrize('templates', [('{}',), ('{}', 'a video of {}.', 'a person is {}')])
@pytest.mark.parametrize('scale', [100.0, 7.0])
def test_scores(frozen: bool, templates: tuple[str, ...], scale: float) -> None:
    head = build(frozen, templates=templates, logit_scale=scale).eval()
    x = torch.randn(4, 16) * 3
    scores = head(x)
    assert scores.shape == (4, 3)
    torch.testing.assert_close(scores, expected(head, x, NAMES), rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_coca_scores() -> None:
    sizes = dict(COCA, text_cfg=dict(COCA['text_cfg'], vocab_size=49408))
    head, x = build(model=sizes), torch.randn(4, 16)
    torch.testing.assert_close(head(x), expected(head, x, NAMES), rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_many_classes_are_encoded_in_parts() -> None:
    names = [f'{a} {b}' for a in 'abcdefghijklmnopqrst' for b in range(30)]
    head = build(class_names=names, templates=('{}', 'the {}', 'of {}'))
    calls, x = Calls(head), torch.randn(2, 16)
    scores = head(x)
    assert sum(calls.texts) == 1800
    assert max(calls.texts) <= 256
    assert not any(count % 3 for count in calls.texts)  # a class is not cut
    torch.testing.assert_close(scores, expected(head, x, names), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize('frozen', [True, False])
@pytest.mark.parametrize('autocast', [True, False])
def test_scores_are_float32(frozen: bool, autocast: bool) -> None:
    head, x = build(frozen), torch.randn(4, 16)
    exact = head.eval()(x)
    head.train()
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=autocast):
        scores = head(x.bfloat16())
    assert scores.dtype == torch.float32
    if frozen:  # only the input was rounded
        torch.testing.assert_close(scores, head(x.bfloat16().float()))
    assert (scores - exact).abs().max() < 10


def test_features_that_are_no_videos() -> None:
    head = build()
    with pytest.raises(ValueError, match=r'got \(2, 8, 16\).*MeanPool'):
        head(torch.zeros(2, 8, 16))
    with pytest.raises(ValueError, match=r'\(N, 16\), got \(2, 24\)'):
        head(torch.zeros(2, 24))


@pytest.mark.parametrize('kind', ['TextHead', 'MatchingLabelsHead'])
def test_a_second_value_of_the_backbone_is_refused(kind: str) -> None:
    head, pair = build(type=f'mmstan.{kind}'), (torch.zeros(2, 16), torch.zeros(2, 8, 16))
    for call in (head, lambda x: head.loss(x, samples([0, 1]))):
        with pytest.raises(ValueError, match=f'{kind} reads the features alone'):
            call(pair)


# --- names ---


def test_names_from_a_file(tmp_path: Path) -> None:
    (tmp_path / 'names.txt').write_text('\n'.join(NAMES))
    head = build(class_names=str(tmp_path / 'names.txt'))
    assert head.class_names == NAMES
    assert head.num_classes == 3


@pytest.mark.parametrize('num_classes', [2, 400])
def test_wrong_number_of_classes(num_classes: int, tmp_path: Path) -> None:
    (tmp_path / 'names.txt').write_text('\n'.join(NAMES))
    with pytest.raises(ValueError, match=f'num_classes={num_classes}, but class_names=') as error:
        build(num_classes=num_classes, class_names=str(tmp_path / 'names.txt'))
    assert 'has 3 names; make them agree' in str(error.value)
    assert 'names.txt' in str(error.value)
    assert build(num_classes=3).num_classes == 3


@pytest.mark.parametrize(
    'templates',
    [
        (),
        ('a video',),
        ('{}', 'a video of {name}'),
        ('{} and {}',),
        ('{} in {place}',),
        ('{} {',),
    ],
)
def test_templates_without_a_place(templates: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r'each needs a .*for the class name'):
        build(templates=templates)


@torch.no_grad()
def test_other_names(head: TextHead, tmp_path: Path) -> None:
    x = torch.randn(2, 16)
    head.eval()(x)  # keeps features of the first names
    head.class_names = OTHERS
    assert head.num_classes == 5
    torch.testing.assert_close(head(x), expected(head, x, OTHERS), rtol=1e-5, atol=1e-4)
    (tmp_path / 'names.txt').write_text('\n'.join(NAMES))
    head.class_names = str(tmp_path / 'names.txt')
    assert head.class_names == NAMES
    assert head.num_classes == 3
    torch.testing.assert_close(head(x), expected(head, x, NAMES), rtol=1e-5, atol=1e-4)
    with pytest.raises(ValueError, match='no name'):
        head.class_names = ['a', '']


def test_topk_above_the_number_of_classes_is_left_out() -> None:
    assert build().topk == (1,)
    assert build(class_names=OTHERS).topk == (1, 5)
    losses = build().loss(torch.randn(4, 16), samples([0, 1, 2, 0]))
    assert losses.keys() == {'top1_acc', 'loss_cls'}


# --- losses and predictions are MMAction2's ---


def test_loss_is_cross_entropy_on_names(head: TextHead) -> None:
    x, labels = torch.randn(4, 16), [2, 0, 1, 2]
    losses = head.loss(x, samples(labels))
    scores, targets = head(x), torch.tensor(labels)
    torch.testing.assert_close(losses['loss_cls'], F.cross_entropy(scores, targets))
    accuracy = (scores.argmax(dim=1) == targets).double().mean()
    torch.testing.assert_close(losses['top1_acc'], accuracy)


@pytest.mark.parametrize('batch', [1, 4])
def test_label_smoothing(batch: int) -> None:
    head, x = build(label_smooth_eps=0.1), torch.randn(batch, 16)
    labels = [2, 0, 1, 2][:batch]
    loss = head.loss(x, samples(labels))['loss_cls']
    wanted = F.cross_entropy(head(x), torch.tensor(labels), label_smoothing=0.1)
    torch.testing.assert_close(loss, wanted)


@pytest.mark.parametrize('batch', [1, 4])
def test_soft_labels_of_mixup(batch: int, head: TextHead) -> None:
    x, soft = torch.randn(batch, 16), torch.rand(batch, 3).softmax(dim=-1)
    losses = head.loss(x, samples(list(soft)))
    torch.testing.assert_close(losses['loss_cls'], F.cross_entropy(head(x), soft))
    assert 'top1_acc' not in losses


@torch.no_grad()
@pytest.mark.parametrize('how', ['prob', 'score'])
def test_views_are_averaged(how: str) -> None:
    head, x = build(average_clips=how, logit_scale=10).eval(), torch.randn(6, 16)
    predictions = head.predict(x, samples([0, 1]))  # 3 views each
    scores = head(x).softmax(dim=-1) if how == 'prob' else head(x)
    for i, prediction in enumerate(predictions):
        mean = scores[3 * i : 3 * i + 3].mean(dim=0)
        torch.testing.assert_close(prediction.pred_score, mean)
        assert prediction.pred_label.item() == mean.argmax()


# --- in a stock recognizer ---


def test_recognizer_trains() -> None:
    model = recognizer().train()
    data = model.data_preprocessor(batch_of(3, 1), training=True)
    losses = model(**data, mode='loss')
    assert losses.keys() == {'loss_cls', 'top1_acc'}
    losses['loss_cls'].backward()
    gradients = {name for name, p in model.named_parameters() if p.grad is not None}
    assert gradients == {name for name, _ in model.named_parameters() if 'backbone' in name}


def test_recognizer_blends_clips() -> None:
    blending = dict(type='MixupBlending', num_classes=3)
    preprocessor = dict(
        type='mmaction.ActionDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3,
        format_shape='NCTHW', blending=blending,
    )  # fmt: skip
    model = recognizer().train()
    blended = MODELS.build(preprocessor)(batch_of(3, 1), training=True)
    assert blended['data_samples'][0].gt_label.shape == (3,)
    losses = model(**blended, mode='loss')
    assert losses.keys() == {'loss_cls'}
    losses['loss_cls'].backward()


@torch.no_grad()
@pytest.mark.parametrize('at_once', [1, 2, 3])
def test_recognizer_tests_many_views(at_once: int) -> None:
    model = recognizer(test_cfg=dict(max_testing_views=at_once)).eval()
    data = model.data_preprocessor(batch_of(1, 3))
    prediction = model(**data, mode='predict')[0]
    assert prediction.pred_score.shape == (3,)
    clips = data['inputs'][0]
    views = [model.cls_head(model.backbone(clip[None]).mean(dim=1)) for clip in clips]
    mean = torch.cat(views).softmax(dim=-1).mean(dim=0)
    torch.testing.assert_close(prediction.pred_score, mean)
    assert prediction.pred_score.sum().item() == pytest.approx(1, abs=1e-5)


def test_recognizer_refuses_frames_side_by_side() -> None:
    with pytest.raises(ValueError, match='FormatShape must be NCTHW'):
        recognizer()(torch.zeros(1, 8, 3, 32, 32), samples([0]), mode='loss')


def test_recognizer_round_trip() -> None:
    model, other = shaken(recognizer()), recognizer()
    other.load_state_dict(model.state_dict())
    data = model.data_preprocessor(batch_of(2, 1))
    model.eval(), other.eval()
    ours, theirs = (m(**data, mode='predict')[0].pred_score.clone() for m in (model, other))
    torch.testing.assert_close(ours, theirs)
