"""Necks, interactions and the maps of detectors give on a GPU what they give on the CPU."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from helpers.detection import make_detector, make_sample
from helpers.device_systems import check_gradients, measure_error
from helpers.devices import on_devices
from helpers.every_backbone import CASES, SIZE, T
from helpers.text_video_features import features
from helpers.tiny_models import shaken
from torch import Tensor, nn

from mmstan.methods.drl import ChannelDecorrelation
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.interactions import Interaction
from mmstan.registry import MODELS

D, FRAMES = 8, 3
NECKS: dict[str, dict[str, Any]] = {
    'MeanPool': {},
    'SequenceTransformer': dict(width=D, heads=2, layers=1),
    'SequenceLSTM': dict(width=D),
    'SequenceConv': dict(width=D),
    'SequenceClassToken': dict(width=D, heads=2, layers=1, num_frames=FRAMES),
    'TemporalDifference': dict(width=D, heads=2, layers=1),
    'MultiFrameIntegration': dict(width=D, heads=2, num_frames=FRAMES),
}
COSINE, MUG = dict(type='mmstan.Cosine'), dict(type='mmstan.Mug', sharpness=5.0)
INTERACTIONS: dict[str, dict[str, Any]] = {
    'Cosine': {},
    'Mug': dict(sharpness=5.0),
    'Mug, simple': dict(sharpness=5.0, form='simple'),
    'Mug, sentence': dict(sharpness=5.0, form='sentence'),
    'Mug, the best': dict(top_k=2),
    'Mug, every token': dict(sharpness=5.0, video='tokens'),
    'TokenWise': {},
    'WeightedTokenWise': dict(dim=D),
    'HunyuanLike': dict(dim=D, heads=2),
    'TightTransformer': dict(width=D, heads=2, layers=1),
    'TemporalAlignment': dict(dim=D),
    'Average': dict(parts=[COSINE, MUG]),
}
DETECTORS = {name: cfg for name, cfg in CASES.items() if 'trained' in name or 'dist' in name}


def build(name: str, arguments: dict[str, Any]) -> Any:
    kind = name.partition(',')[0]
    return shaken(MODELS.build(dict(type=f'mmstan.{kind}', **arguments))).eval()


def compare(module: nn.Module, device: str, run: Callable[[Any, str], Tensor]) -> None:
    """``run(module, device)`` and its gradients, next to the CPU's."""
    found = []
    for copy, place in ((module, 'cpu'), (deepcopy(module).to(device), device)):
        output = run(copy, place)
        output.sin().sum().backward()  # a different gradient for every number
        grads = {name: p.grad.cpu() for name, p in copy.named_parameters() if p.grad is not None}
        found.append((output.detach().cpu(), grads))
    (right, right_grads), (output, grads) = found
    assert right.isfinite().all() and measure_error(output, right) <= 1e-4
    check_gradients(grads, right_grads)


class WithFrames(nn.Module):
    """A neck whose frames get gradients too; the second video has padding."""

    def __init__(self, neck: nn.Module) -> None:
        super().__init__()
        self.neck, self.frames = neck, nn.Parameter(torch.randn(2, FRAMES, D))

    def forward(self) -> Tensor:
        real = torch.tensor([[True] * FRAMES, [True] * (FRAMES - 1) + [False]])
        output, _ = self.neck(self.frames, real.to(self.frames.device))
        return output[0] if isinstance(output, tuple) else output


@on_devices
@pytest.mark.parametrize('name', NECKS)
def test_necks(name: str, device: str) -> None:
    neck = build(name, NECKS[name])
    compare(WithFrames(neck), device, lambda neck, _: neck())


def move(features: Any, device: str) -> Any:
    return type(features)(*(None if x is None else x.to(device) for x in features))


@on_devices
@pytest.mark.parametrize('name', INTERACTIONS)
def test_interactions(name: str, device: str) -> None:
    text, video = features(4, 3, length=5, frames=FRAMES, dim=D)
    if name == 'TemporalAlignment':  # reads a token of each frame, then of every second one
        video = video._replace(tokens=torch.cat([video.frames, video.frames[:, ::2]], dim=1))
    compare(WithInputs(build(name, INTERACTIONS[name]), text, video), device, run_with_inputs)


class WithInputs(nn.Module):
    """An interaction whose inputs get gradients too."""

    def __init__(self, interaction: nn.Module, text: TextFeatures, video: VideoFeatures) -> None:
        super().__init__()
        self.interaction = interaction
        self.words, self.frames = nn.Parameter(text.tokens), nn.Parameter(video.frames)
        self.text, self.video = text, video


def run_with_inputs(module: Any, place: str) -> Tensor:
    text = move(module.text, place)._replace(tokens=module.words)
    video = move(module.video, place)._replace(frames=module.frames)
    return module.interaction(text, video)


@on_devices
def test_channel_decorrelation(device: str) -> None:
    text, video = features(4, 4, length=5, frames=FRAMES, dim=D)
    interaction = build('TokenWise', {})
    loss = ChannelDecorrelation(weight=1.0)
    right = loss(interaction, text, video)
    found = loss(interaction.to(device), move(text, device), move(video, device))
    assert right > 0 and measure_error(found.cpu(), right) <= 1e-4


def test_every_interaction_and_neck_is_tried() -> None:
    kinds = [kind for kind in MODELS.module_dict.values() if kind.__module__.startswith('mmstan.')]
    tried = {name.partition(',')[0] for name in (*NECKS, *INTERACTIONS)}
    interactions = {kind.__name__ for kind in kinds if issubclass(kind, Interaction)}
    necks = {kind.__name__ for kind in kinds if '.necks.' in kind.__module__}
    sequences = {kind.__name__ for kind in kinds if kind.__name__.startswith('Sequence')}
    assert interactions | necks | sequences <= tried


@on_devices
@pytest.mark.parametrize('name', DETECTORS)
def test_detectors(name: str, device: str) -> None:
    """The map and the loss of boxes, with every backbone; weights that start at zero are shaken."""
    clip, sample = torch.randn(1, 3, T, SIZE, SIZE), make_sample([(2, 3, 20, 30), (1, 1, 30, 12)])
    detector = shaken(make_detector(DETECTORS[name])).eval()

    def run(model: Any, place: str) -> Tensor:
        feature_map = model(clip.to(place)).flatten()
        loss = model(clip.to(place), [sample], mode='loss')['loss_action_cls']
        return torch.cat([feature_map / feature_map.abs().max(), loss[None]])

    compare(detector, device, run)
