"""Tiny models of every kind and batches for them, to compare devices.

A new kind of model (such as a chat) is a row of ``SYSTEMS``: a name, and how its model and a batch
of it are made.
"""

import functools
from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from helpers import export_systems
from helpers.detection import make_detector, make_sample
from helpers.export_systems import NAMED, D, make_tower
from helpers.tiny_models import shaken
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from mmstan.registry import MODELS

FRAMES, SIZE = export_systems.FRAMES, export_systems.SIZE
PREPROCESSOR = dict(mean=[127.5] * 3, std=[60.0] * 3, format_shape='NCTHW')
Batch = dict[str, Any]


class System(NamedTuple):
    """How a model and a batch of two samples are made."""

    make: Callable[[], nn.Module]
    label: Callable[[int], ActionDataSample]
    axes: tuple[int, ...] = (1,)  # in front of a clip (3, T, H, W)


def _make_exported(name: str) -> nn.Module:
    return MODELS.build(export_systems.make_config(name))


def _make_matching() -> nn.Module:
    """A head that learns from the labels of a batch."""
    return MODELS.build(
        dict(
            type='Recognizer3D',
            backbone=dict(type='mmstan.FrameEncoder', tower=make_tower()),
            neck=dict(
                type='mmstan.SequenceClassToken', width=D, heads=2, layers=1, num_frames=FRAMES
            ),
            cls_head=dict(NAMED, type='mmstan.MatchingLabelsHead'),
            data_preprocessor=dict(PREPROCESSOR, type='ActionDataPreprocessor'),
        )
    )


def _make_detector() -> nn.Module:
    model = make_detector(dict(type='mmstan.STAN', levels=(1, 2), tower=make_tower(layers=2)))
    cfg = dict(PREPROCESSOR, type='ActionDataPreprocessor')
    model.data_preprocessor = MODELS.build(cfg)
    return model


def _class(i: int) -> ActionDataSample:
    return ActionDataSample().set_gt_label(i)


def _verb_and_noun(i: int) -> ActionDataSample:
    return ActionDataSample().set_gt_label([i, i])


def _caption(i: int) -> ActionDataSample:
    sample = ActionDataSample(metainfo=dict(video_id=str(i)))
    sample.set_field([f'{export_systems.NAMES[i]} a dog'], 'captions')
    sample.set_field(torch.arange(FRAMES) < FRAMES - i, 'frame_mask')
    return sample


def _persons(i: int) -> ActionDataSample:
    boxes = [(2.0, 3, 20, 30), (1.0, 1, 30, 12)][: 2 - i]
    return make_sample(boxes, boxes, img_shape=(SIZE, SIZE))


SYSTEMS = {
    **{
        name: System(functools.partial(_make_exported, name), _class)
        for name in export_systems.RECOGNIZERS
    },
    'st_adapter': System(functools.partial(_make_exported, 'st_adapter'), _verb_and_noun),
    **{
        name: System(functools.partial(_make_exported, name), _caption)
        for name in export_systems.RETRIEVAL
    },
    'matching': System(_make_matching, _class),
    'detector': System(_make_detector, _persons, axes=()),
}


@functools.cache
def share_model(name: str) -> nn.Module:
    """A system's model on the CPU, not to be changed."""
    init_default_scope('mmaction')
    torch.manual_seed(0)
    return shaken(SYSTEMS[name].make()).eval()


@functools.cache
def _copy_once(name: str, device: str) -> nn.Module:
    return deepcopy(share_model(name)).to(device)


def make_model(name: str, device: str) -> nn.Module:
    """A copy of a system's model for one test, with the same weights every time.

    Its modules are made once: copying the words of a tokenizer takes longer than a test.
    """
    model = _copy_once(name, device).eval()
    model.zero_grad()
    model.load_state_dict(share_model(name).state_dict())
    return model


def make_batch(name: str) -> Batch:
    """Two videos as a data loader gives them, on the CPU."""
    system, generator = SYSTEMS[name], torch.Generator().manual_seed(0)
    shape = (*system.axes, 3, FRAMES, SIZE, SIZE)
    clips = [torch.randint(256, shape, dtype=torch.uint8, generator=generator) for _ in range(2)]
    return dict(inputs=clips, data_samples=[system.label(i) for i in range(2)])


def compute_outputs(model: Any, batch: Batch) -> list[Tensor]:
    """Scores, or features and similarities, or a map: every tensor, float32, on the CPU."""
    return run_model(model, model.data_preprocessor(batch, False))


def run_model(model: Any, data: Batch) -> list[Tensor]:
    """The same of normalised clips on the model's device."""
    if hasattr(model, 'encode_videos'):
        text, video = model(**data, mode='tensor')
        found: Any = (text, video, model.similarity(text, video))
    elif hasattr(model, 'roi_head'):
        (*_, last) = model(**data, mode='predict')
        found = (last.pred_instances.scores, model(**data, mode='tensor'))
    else:
        found = model(data['inputs'], stage='head')
    return [x.float().cpu() for x in tree_leaves(found) if torch.is_tensor(x)]


def compute_loss(model: Any, batch: Batch) -> Tensor:
    """The loss of a batch in evaluation mode, without dropout."""
    data = model.data_preprocessor(batch, True)
    losses = model(**data, mode='loss')
    return sum(x for key, x in losses.items() if 'loss' in key)


def compute_gradients(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """The gradients of the trained parameters, on the CPU."""
    model.zero_grad()
    compute_loss(model, batch).backward()
    return {name: p.grad.cpu() for name, p in model.named_parameters() if p.grad is not None}


def measure_error(x: Tensor, right: Tensor) -> float:
    """Largest difference, relative to the largest number where that is above 1."""
    assert x.shape == right.shape
    if not right.numel():
        return 0.0
    x, right = x.float(), right.float()
    return ((x - right).abs().max() / right.abs().max().clamp(min=1)).item()


def check_gradients(found: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    """Within a thousandth of a parameter's largest gradient, or of a hundredth of all others'."""
    assert found.keys() == right.keys()
    floor = max(x.abs().max() for x in right.values()) / 100
    assert floor > 0
    for name, x in found.items():
        error = (x - right[name]).abs().max() / right[name].abs().max().clamp(min=floor)
        assert error <= 1e-3, name
