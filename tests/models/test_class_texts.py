"""Text features of class names: kept while nothing can change them, learned otherwise."""

import copy
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.text_heads import NAMES, Calls, build, expected
from helpers.tiny_models import WORDS, shaken
from mmengine.hooks import EMAHook
from mmengine.model import ExponentialMovingAverage
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from mmstan.models import TextHead


@pytest.fixture
def head() -> TextHead:
    return build()


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


def test_frozen_tower_runs_once_where_every_step_sets_the_mode(head: TextHead) -> None:
    """As ``IterBasedTrainLoop`` does."""
    calls, x = Calls(head), torch.randn(2, 16)
    for _ in range(3):
        head.train()(x)
    assert calls.new() == 1
    for _ in range(2):
        head.eval()(x)  # weights may have been swapped
    assert calls.new() == 2


@torch.inference_mode()
def test_a_head_that_is_built_in_inference_mode() -> None:
    head = build().eval()  # its weights do not count their writes
    assert torch.equal(head.texts().sentence, head.texts().sentence)


def test_a_mode_that_is_set_again_drops_the_features_of_every_template() -> None:
    head, x = build(templates=('a {}', 'the {}'), sample_template=True).train(), torch.randn(2, 16)
    calls = Calls(head)
    for seed in (0, 1, 2, 3):
        torch.manual_seed(seed)
        head(x)
        with torch.no_grad():
            head.texts.tower.text.text_projection.mul_(2)
    assert calls.new() == 2  # both templates, the second one with other weights
    head.train()
    for seed in (0, 1, 2, 3):
        torch.manual_seed(seed)
        head(x)
    assert calls.new() == 2


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
