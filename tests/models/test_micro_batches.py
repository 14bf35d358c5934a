"""A batch that is encoded in parts learns what the whole batch learns."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from unittest import mock

import pytest
import torch
from helpers.every_backbone import BACKBONES, DIST, FROZEN, T
from helpers.retrieval_models import build, head
from helpers.tiny_models import CLIP, COCA, TOWER, token_ids
from mmaction.structures import ActionDataSample
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import mmstan.methods  # noqa: F401  (all interactions)
from mmstan.benchmark.live_storage import measure_live_peak
from mmstan.models import VideoTextModel, micro_batches
from mmstan.models.heads import retrieval_head
from mmstan.models.interactions import Interaction

COSINE, MUG = dict(type='mmstan.Cosine'), dict(type='mmstan.Mug', sharpness=5.0)
INTERACTIONS: list[dict[str, Any]] = [
    COSINE,
    MUG,
    dict(type='mmstan.Mug', video='tokens'),
    dict(type='mmstan.Average', parts=[COSINE, MUG]),
    dict(type='mmstan.TokenWise'),
    dict(type='mmstan.WeightedTokenWise', dim=16),
    dict(type='mmstan.HunyuanLike', dim=16, heads=2),
    dict(type='mmstan.TightTransformer', width=16, heads=2, layers=1, max_frames=T),
    dict(type='mmstan.TemporalAlignment', dim=16),
]
# Those that give frames of the joint space without a neck.
ENCODERS = [name for name in BACKBONES if name not in ('xclip', 'evl') and 'halves' not in name]
N = 6


def make_model(*, drop_path: float = 0.0, m: int | None = None, **changes: Any) -> VideoTextModel:
    backbone = dict(changes.pop('backbone', dict(type='mmstan.STAN', levels=(3, 4))))
    backbone.setdefault('tower', TOWER)
    if backbone['type'] in ('mmstan.STAN', 'mmstan.XCLIP') or 'num_frames' in backbone:
        backbone['drop_path'] = drop_path
    if backbone['type'] == 'mmstan.DiST':
        del backbone['drop_path']
    return build(CLIP, backbone=backbone, micro_batch=m, **changes).train()


def make_inputs(n: int = N, *, frames: int = T) -> dict[str, Tensor]:
    torch.manual_seed(1)
    imgs = torch.randn(n, 1, 3, frames, 32, 32)
    return dict(imgs=imgs, text=token_ids([3 + i % 6 for i in range(n)], context_length=8))


def train(
    model: VideoTextModel, inputs: dict[str, Tensor], samples: Any = None, *, amp: bool = False
) -> list[Tensor]:
    """Losses, gradients by parameter, and the next random number."""
    torch.manual_seed(2)
    with torch.autocast('cpu', torch.bfloat16) if amp else nullcontext():
        losses = model(inputs, samples, mode='loss')
    sum(losses.values()).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert any(gradient.abs().max() > 0 for gradient in gradients)
    return [*losses.values(), *gradients, torch.rand(1)]


def train_without_recomputation(*arguments: Any, **options: Any) -> list[Tensor]:
    """The same micro batches, whose activations are kept."""

    def call(function: Any, *arguments: Any, use_reentrant: bool) -> Any:
        return function(*arguments)

    with mock.patch.object(micro_batches, 'checkpoint', call):
        return train(*arguments, **options)


def assert_recomputed_equals_kept(m: int = 4, *, amp: bool = False, **model: Any) -> None:
    """To the bit: losses, gradients and the random stream behind the step."""
    model.update(drop_path=0.3, m=m)
    recomputed = train(make_model(**model), make_inputs(), amp=amp)
    kept = train_without_recomputation(make_model(**model), make_inputs(), amp=amp)
    assert len(recomputed) == len(kept)
    assert all(map(torch.equal, recomputed, kept))


def assert_parts_equal_whole(m: int, **model: Any) -> None:
    """In float64, without drop path, which draws other numbers for another division."""
    double = {k: x.double() if x.is_floating_point() else x for k, x in make_inputs().items()}
    parts = train(double_encoders(make_model(m=m, **model)), double)
    whole = train(double_encoders(make_model(**model)), double)
    assert len(parts) == len(whole)
    for ours, expected in zip(parts[:-1], whole[:-1]):
        error = (ours - expected).abs().max().item()
        assert error <= 1e-12 * max(1, expected.abs().max().item())


def double_encoders(model: VideoTextModel) -> VideoTextModel:
    """In float64, but for the head: interactions compare in float32."""
    model.head = model.double().head.float()
    return model


def list_interactions(cls: type = Interaction) -> Iterator[str]:
    for subclass in cls.__subclasses__():
        if subclass.__module__.startswith(('mmstan.models.', 'mmstan.methods.')):
            yield f'mmstan.{subclass.__name__}'
        yield from list_interactions(subclass)


def test_the_list_of_interactions_is_whole() -> None:
    assert {cfg['type'] for cfg in INTERACTIONS} == set(list_interactions())


@pytest.mark.parametrize('interaction', INTERACTIONS, ids=str)
def test_every_interaction(interaction: dict[str, Any]) -> None:
    model: dict[str, Any] = dict(head=head(interaction, trainable_scale=True, scale=7.0))
    if 'TemporalAlignment' in interaction['type']:  # it reads the tokens of this neck
        difference = dict(type='mmstan.TemporalDifference', width=16, heads=2, max_frames=T)
        model['neck'] = dict(difference, layers=1, alignment=True)
    assert_recomputed_equals_kept(**model)
    assert_parts_equal_whole(4, **model)


@pytest.mark.parametrize('name', ENCODERS)
def test_every_backbone(name: str) -> None:
    assert_recomputed_equals_kept(backbone=BACKBONES[name])
    assert_parts_equal_whole(4, backbone=BACKBONES[name], head=head(COSINE))


def test_dist_and_frozen_towers() -> None:
    assert_recomputed_equals_kept(backbone=dict(DIST, tower=FROZEN))
    assert_recomputed_equals_kept(backbone=dict(type='mmstan.STAN', levels=(3, 4), tower=FROZEN))


@pytest.mark.parametrize('m', [1, 2, 3, 5])
def test_every_division(m: int) -> None:
    assert_parts_equal_whole(m, head=head(COSINE))


def test_other_forms_of_a_model() -> None:
    """Mixed precision, recomputed blocks, a neck, CoCa."""
    assert_recomputed_equals_kept(amp=True)
    stan = dict(type='mmstan.STAN', levels=(3, 4), checkpointing=True)
    assert_recomputed_equals_kept(backbone=stan)
    neck = dict(type='mmstan.SequenceTransformer', width=16, heads=2, layers=1, max_frames=T)
    assert_recomputed_equals_kept(neck=neck, head=head(COSINE))
    coca = dict(type='mmstan.TextTower', model=COCA)
    tower = dict(type='mmstan.ImageTower', model=COCA)
    backbone = dict(type='mmstan.STAN', levels=(3, 4), tower=tower)
    inputs = dict(make_inputs(), text=token_ids([5] * N))  # CoCa reads its whole context
    changes: dict[str, Any] = dict(backbone=backbone, text_tower=coca, drop_path=0.3, m=4)
    recomputed = train(make_model(**changes), inputs)
    kept = train_without_recomputation(make_model(**changes), inputs)
    assert all(map(torch.equal, recomputed, kept))


def test_frame_masks_reach_their_micro_batches() -> None:
    masks = [None, [1, 1, 0, 0], None, None, [1, 0, 0, 0], None]
    samples = [ActionDataSample() for _ in masks]
    for sample, mask in zip(samples, masks):
        if mask is not None:
            sample.set_field(torch.tensor(mask, dtype=torch.bool), 'frame_mask')
    parts = train(make_model(m=2), make_inputs(), samples)
    whole = train(make_model(), make_inputs(), samples)
    unmasked = train(make_model(), make_inputs())
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)
    assert (parts[0] - unmasked[0]).abs() > 1e-3


@pytest.mark.parametrize('m', [None, N, N + 1])
def test_nothing_is_recomputed_for_a_micro_batch_of_the_whole_batch(m: int | None) -> None:
    with mock.patch.object(micro_batches, 'checkpoint', side_effect=AssertionError):
        found = train(make_model(m=m, drop_path=0.3), make_inputs())
    expected = train(make_model(drop_path=0.3), make_inputs())
    assert all(map(torch.equal, found, expected))


def test_features_are_not_recomputed_in_other_modes() -> None:
    with mock.patch.object(micro_batches, 'checkpoint', side_effect=AssertionError):
        text, video = make_model(m=2)(make_inputs(), mode='tensor')
    assert len(text.sentence) == len(video.frames) == N


def test_memory_of_an_eighth() -> None:
    """The largest sum of live tensors, at an eighth of the batch below 40 % of the whole's."""
    inputs = make_inputs(16, frames=8)

    def measure(m: int | None) -> int:
        model = make_model(m=m)
        return measure_live_peak(lambda: sum(model(inputs, mode='loss').values()).backward())

    whole, part = measure(None), measure(2)
    assert part < 0.4 * whole


# --- refused ---


@pytest.mark.parametrize('m', [0, -3])
def test_no_pairs_at_a_time_are_refused(m: int) -> None:
    with pytest.raises(ValueError, match=f'micro_batch={m} must be 1 or more'):
        make_model(m=m)


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(16)

    def forward(self, x: Tensor, data_samples: Any = None) -> tuple[Tensor, dict[str, Any]]:
        return self.norm(x.flatten(0, 1)).unflatten(0, x.shape[:2]), {}


def test_batch_statistics_are_refused() -> None:
    model = make_model(m=2)
    model.neck = Normed()
    with pytest.raises(ValueError, match='micro_batch, but norm is a BatchNorm1d in training mode'):
        model(make_inputs(), mode='loss')
    model.neck.eval()
    train(model, make_inputs())
    model.micro_batch = N  # nothing is recomputed
    model.neck.train()
    train(model, make_inputs())


def test_other_numbers_of_captions_are_refused_as_without() -> None:
    inputs = make_inputs()
    with pytest.raises(ValueError, match='6 texts and 5 videos'):
        make_model(m=2)(dict(inputs, imgs=inputs['imgs'][1:]), mode='loss')


# --- next to it ---


def test_the_text_tower_recomputes_its_blocks() -> None:
    text = dict(type='mmstan.TextTower', model=CLIP)
    plain = train(make_model(text_tower=text), make_inputs())
    with mock.patch('open_clip.transformer.checkpoint', wraps=checkpoint) as recompute:
        found = train(make_model(text_tower=dict(text, checkpointing=True)), make_inputs())
    assert recompute.call_count == CLIP['text_cfg']['layers']
    assert all(map(torch.equal, found, plain))


def test_too_large_a_gathering_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval_head, 'get_world_size', lambda: 1000)
    small = head(MUG, gather_gb=1e-3)
    with pytest.raises(ValueError, match=r'6 pairs on each of 1000 processes have 0\.0 GB'):
        make_model(head=small)(make_inputs(), mode='loss')
