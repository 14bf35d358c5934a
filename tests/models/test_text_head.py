import copy
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.tiny_models import COCA, IMAGE, WORDS, shaken
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.model import ExponentialMovingAverage
from mmengine.runner.checkpoint import load_state_dict
from torch import Tensor, nn

from mmstan.models import TextHead

NAMES = ['riding a bike', 'dancing', 'playing the trumpet']
OTHERS = ['cooking', 'swimming in the sea', 'juggling', 'reading', 'yoga']


def build(frozen: bool = True, model: dict[str, Any] = WORDS, **arguments: Any) -> TextHead:
    tower = dict(type='mmstan.TextTower', model=model, frozen=frozen)
    cfg = dict(dict(type='mmstan.TextHead', class_names=NAMES, text_tower=tower), **arguments)
    head: TextHead = MODELS.build(cfg)
    shaken(head)
    return head


@pytest.fixture
def head() -> TextHead:
    return build()


class Calls:
    """How often the text tower of a head ran, and on how many texts."""

    def __init__(self, head: TextHead) -> None:
        self.texts: list[int] = []
        head.texts.tower.register_forward_pre_hook(lambda _, args: self.texts.append(len(args[0])))

    def new(self) -> int:
        count = len(self.texts)
        self.texts.clear()
        return count


def expected(head: TextHead, x: Tensor, names: list[str]) -> Tensor:
    """Scaled cosine, from the whole context and one class at a time."""
    columns = []
    for name in names:
        texts = [template.format(name) for template in head.texts.templates]
        features = head.texts.tower(head.texts.tower.tokenize(texts)).sentence
        mean = F.normalize(features, dim=-1).mean(dim=0)
        columns.append(F.cosine_similarity(x, mean[None]))
    return head.logit_scale * torch.stack(columns, dim=1)


def samples(labels: list[Any]) -> list[ActionDataSample]:
    return [ActionDataSample().set_gt_label(label) for label in labels]


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


@pytest.mark.parametrize('templates', [(), ('a video',), ('{}', 'a video of {name}')])
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


# --- text features that are kept ---


@torch.no_grad()
def test_frozen_tower_runs_once(head: TextHead) -> None:
    calls = Calls(head)
    for _ in range(3):
        head(torch.randn(2, 16))
    assert calls.new() == 1
    head.eval()
    for _ in range(3):
        head(torch.randn(2, 16))
    assert calls.new() == 1


def test_frozen_tower_runs_once_in_training(head: TextHead) -> None:
    calls, model = Calls(head), nn.ModuleList([head, nn.Linear(16, 16)])
    model.train()
    for _ in range(3):
        head(model[1](torch.randn(2, 16))).sum().backward()
    assert calls.new() == 1
    assert model[1].weight.grad is not None


def drop_by_train(head: TextHead) -> None:
    head.train()


def drop_by_eval(head: TextHead) -> None:
    nn.Sequential(head).eval()


def drop_by_loading(head: TextHead) -> None:
    head.load_state_dict(head.state_dict())


def drop_by_loading_around(head: TextHead) -> None:
    model = nn.Sequential(head)
    model.load_state_dict(model.state_dict())


def drop_by_mmengine(head: TextHead) -> None:
    load_state_dict(head, head.state_dict(), strict=True)


def drop_by_names(head: TextHead) -> None:
    head.class_names = NAMES


@torch.no_grad()
@pytest.mark.parametrize('mode', ['train', 'eval'])
@pytest.mark.parametrize(
    'drop',
    [
        drop_by_train,
        drop_by_eval,
        drop_by_loading,
        drop_by_loading_around,
        drop_by_mmengine,
        drop_by_names,
    ],
)
def test_kept_features_are_dropped(drop: Any, mode: str, head: TextHead) -> None:
    x = torch.randn(2, 16)
    getattr(head, mode)()
    before = head(x)
    shaken(head.texts.tower)
    torch.testing.assert_close(head(x), before)  # kept: this is what makes dropping matter
    drop(head)
    after = head(x)
    assert (after - before).abs().max() > 1e-3
    torch.testing.assert_close(after, expected(head, x, NAMES), rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_weights_loaded_by_init_weights_are_seen(tmp_path: Path) -> None:
    torch.save(build().texts.tower.state_dict(), tmp_path / 'text.pt')
    tower = dict(
        type='mmstan.TextTower', model=WORDS, pretrained=str(tmp_path / 'text.pt'), frozen=True
    )
    head, x = build(text_tower=tower), torch.randn(2, 16)
    before = head(x)
    head.init_weights()
    assert (head(x) - before).abs().max() > 1e-3
    torch.testing.assert_close(head(x), expected(head, x, NAMES), rtol=1e-5, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize('frozen', [True, False])
def test_ema_weights_are_seen(frozen: bool) -> None:
    model = build(frozen)
    x, runner = torch.randn(2, 16), SimpleNamespace(model=model, epoch=0, iter=0)
    hook = EMAHook(momentum=0.5)
    hook.before_run(runner)
    averaged = hook.ema_model.module
    assert isinstance(hook.ema_model, ExponentialMovingAverage)
    own = model.train()(x)
    shaken(averaged)
    mean = expected(averaged, x, NAMES)
    assert (own - mean).abs().max() > 1e-3
    hook.before_val_epoch(runner)  # swaps; then the loop calls eval()
    model.eval()
    torch.testing.assert_close(model(x), mean, rtol=1e-5, atol=1e-4)
    hook.after_val_epoch(runner)
    model.train()
    torch.testing.assert_close(model(x), own, rtol=1e-5, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize('duplicate', [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_do_not_share_what_they_keep(duplicate: Any, head: TextHead) -> None:
    x = torch.randn(2, 16)
    before = head.eval()(x)
    other = duplicate(head)
    state = {key: torch.randn_like(value) for key, value in head.state_dict().items()}
    other.load_state_dict(state)
    assert (other(x) - before).abs().max() > 1e-3
    calls = Calls(head)
    torch.testing.assert_close(head(x), before)
    assert calls.new() == 0


def test_state_dict_has_the_weights_and_nothing_else(head: TextHead) -> None:
    head(torch.randn(2, 16))
    assert {key.split('.text.')[0] for key in head.state_dict()} == {'texts.tower'}


# --- a text tower that learns ---


def test_gradients_reach_an_unfrozen_tower() -> None:
    head = build(frozen=False).train()
    calls = Calls(head)
    for _ in range(2):
        head.zero_grad()
        head(torch.randn(2, 16))[:, 0].sum().backward()
        missing = [name for name, p in head.named_parameters() if p.grad is None]
        assert missing == []
    assert calls.new() == 2
    assert head.texts.tower.text.token_embedding.weight.grad.abs().sum() > 0


def test_unfrozen_tower_is_read_anew_after_a_step() -> None:
    head, x = build(frozen=False).train(), torch.randn(2, 16)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    before = head(x)
    before[:, 0].sum().backward()
    optimizer.step()
    assert (head(x) - before).abs().max() > 1e-3
    with torch.no_grad():
        assert (head(x) - before).abs().max() > 1e-3


def test_unfrozen_tower_keeps_nothing_while_it_may_change() -> None:
    head, x = build(frozen=False), torch.randn(2, 16)
    head.eval()(x)[:, 0].sum().backward()  # evaluation mode alone does not stop gradients
    assert head.texts.tower.text.text_projection.grad is not None
    head.train()
    with torch.no_grad():  # nor does a look at the scores between two steps
        before = head(x)
        shaken(head)
        assert (head(x) - before).abs().max() > 1e-3


@torch.no_grad()
def test_unfrozen_tower_runs_once_in_evaluation() -> None:
    head = build(frozen=False).eval()
    calls = Calls(head)
    for _ in range(3):
        head(torch.randn(2, 16))
    assert calls.new() == 1


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


def recognizer(**arguments: Any) -> nn.Module:
    image = dict(WORDS, vision_cfg=IMAGE)
    tower = dict(type='mmstan.TextTower', model=image, frozen=True)
    cfg = Config(
        dict(
            model=dict(
                type='mmaction.Recognizer3D',
                backbone=dict(
                    type='mmstan.FrameEncoder', tower=dict(type='mmstan.ImageTower', model=image)
                ),
                neck=dict(type='mmstan.MeanPool'),
                cls_head=dict(type='mmstan.TextHead', class_names=NAMES, text_tower=tower),
                data_preprocessor=dict(
                    type='mmaction.ActionDataPreprocessor',
                    mean=[127.5] * 3,
                    std=[127.5] * 3,
                    format_shape='NCTHW',
                ),
                **arguments,
            )
        )
    )
    return MODELS.build(cfg.model)


def batch_of(count: int, views: int) -> dict[str, Any]:
    inputs = [torch.randint(256, (views, 3, 2, 32, 32), dtype=torch.uint8) for _ in range(count)]
    return dict(inputs=inputs, data_samples=samples(list(range(count))))


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
