"""Traced models take any batch size, in all their forms.

``torch.export`` and ONNX are tested in tests/apis/export, one form of each backbone.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.tiny_models import CLIP, COCA, VIT_TOWER, WORDS, shaken
from torch import Tensor, nn

from mmstan.models.backbones import VideoBackbone
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.registry import MODELS

D, FRAMES = 16, 4


def two_blocks(model: dict[str, Any]) -> dict[str, Any]:
    return dict(
        type='mmstan.ImageTower', model=dict(model, vision_cfg=dict(model['vision_cfg'], layers=2))
    )


TOWER, COCA_TOWER = two_blocks(CLIP), two_blocks(COCA)
FROZEN = dict(TOWER, frozen=True)
# Each kind of backbone once: type and arguments, with the tower where it is another one.
BACKBONES = [
    ('FrameEncoder', dict(tower=COCA_TOWER)),
    ('STAN', dict(levels=(1, 2))),
    ('XCLIP', {}),
    ('DiST', dict(tower=FROZEN, gamma=2, num_frames=2, width=32, temporal_width=16)),
    ('STAdapter', dict(hidden=8, before=('attention', 'mlp'))),
    ('EVL', dict(layers=2, num_frames=FRAMES, image_size=32)),
    ('TubePatches', {}),
    ('TemporalShift', {}),
    ('JointSpaceTime', dict(num_frames=FRAMES)),
    ('DividedSpaceTime', dict(num_frames=FRAMES)),
]
# Others of their forms.
FORMS = [
    ('FrameEncoder', dict(tower=TOWER)),
    ('FrameEncoder', dict(tower=VIT_TOWER)),
    ('STAN', dict(levels=(2, None), tower=COCA_TOWER)),
    ('STAN', dict(levels=(1, 2), cross_frame=dict(type='mmstan.TemporalConv'))),
    ('STAN', dict(levels=(1, 2), cross_frame=dict(type='mmstan.DenseTemporalConv'))),
    ('STAN', dict(levels=(1, 2), cross_frame=None, intra_frame='joint')),
    ('XCLIP', dict(context=False)),
]
NECKS = [
    ('MeanPool', {}),
    ('MultiFrameIntegration', dict(num_frames=FRAMES, heads=2)),
    ('SequenceTransformer', dict(heads=2, layers=1)),
    ('SequenceLSTM', {}),
    ('SequenceConv', {}),
    ('TemporalDifference', dict(heads=2, layers=1)),
]
INTERACTIONS = [
    ('Cosine', {}),
    ('Mug', {}),
    ('Mug', dict(form='sentence')),
    ('TokenWise', {}),
    ('WeightedTokenWise', dict(dim=D)),
    ('HunyuanLike', dict(dim=D, heads=2)),
    ('TightTransformer', dict(width=D, heads=2, layers=1)),
]
NAMES = ['dancing', 'riding a bike', 'singing']
TEXT = dict(type='mmstan.TextTower', model=WORDS)


def build(kind: str, **arguments: Any) -> Any:
    return shaken(MODELS.build(dict(type=f'mmstan.{kind}', **arguments))).eval()


def clips(batch: int) -> Tensor:
    return torch.randn(batch, 3, FRAMES, 32, 32)


def traced(model: nn.Module, example: Tensor) -> Callable[[Tensor], Any]:
    return torch.jit.trace(model, example, check_trace=False)


@torch.no_grad()
def takes_other_batches(model: nn.Module, example: Callable[[int], Tensor]) -> None:
    """Made with two samples, right for two, for five and for one."""
    made = traced(model, example(2))
    for batch in (2, 5, 1):
        x = example(batch)
        torch.testing.assert_close(made(x), model(x), rtol=1e-5, atol=1e-5)


def name_case(value: Any) -> str:
    if isinstance(value, str):
        return value
    return ','.join(f'{k}={v}' for k, v in value.items() if not isinstance(v, dict))


def quietly_traced(test: Any) -> Any:
    """Without the warnings of tracing; what it says of checks is right, and they hold anyway."""
    test = pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')(test)
    return pytest.mark.filterwarnings('ignore:`torch.jit.trace:FutureWarning')(test)


@quietly_traced
@pytest.mark.parametrize(('kind', 'arguments'), BACKBONES + FORMS, ids=name_case)
def test_traced_backbones(kind: str, arguments: dict[str, Any]) -> None:
    takes_other_batches(build(kind, **{'tower': TOWER, **arguments}), clips)


def test_every_backbone_is_tried() -> None:
    names = {name for name, kind in MODELS.module_dict.items() if issubclass(kind, VideoBackbone)}
    assert names == {kind for kind, _ in BACKBONES}


class Scores(nn.Module):
    """What MMAction2's recognizers do with a clip, down to the scores."""

    def __init__(self, backbone: nn.Module, neck: nn.Module | None, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = backbone, neck, head

    def forward(self, clip: Tensor) -> Tensor:
        x = self.backbone(clip)
        return self.head(x if self.neck is None else self.neck(x)[0])


@quietly_traced
@pytest.mark.parametrize('system', ['stan', 'mug', 'xclip', 'dist'])
def test_scores(system: str) -> None:
    text = dict(class_names=NAMES, text_tower=TEXT)
    guided = dict(text, interaction=dict(type='mmstan.Mug'))
    stan = dict(tower=TOWER, levels=(1, 2))
    dist = dict(tower=FROZEN, gamma=2, num_frames=2, width=32, temporal_width=16)
    backbone, neck, head = {
        'stan': (('STAN', stan), ('MeanPool', {}), ('TextHead', text)),
        'mug': (
            ('STAN', stan),
            None,
            ('TextHead', guided),
        ),
        'xclip': (
            ('XCLIP', dict(tower=TOWER)),
            ('MultiFrameIntegration', dict(width=D, num_frames=FRAMES, heads=2)),
            ('PromptedTextHead', dict(text, heads=2)),
        ),
        'dist': (('DiST', dict(dist, frame_features=True)), None, ('FusedTextHead', text)),
    }[system]
    parts = [None if part is None else build(part[0], **part[1]) for part in (backbone, neck, head)]
    takes_other_batches(Scores(*parts).eval(), clips)


class Necked(nn.Module):
    """A neck without its losses."""

    def __init__(self, neck: nn.Module) -> None:
        super().__init__()
        self.neck = neck

    def forward(self, x: Tensor) -> Tensor:
        return self.neck(x)[0]


@quietly_traced
@pytest.mark.parametrize(('kind', 'arguments'), NECKS, ids=name_case)
def test_traced_necks(kind: str, arguments: dict[str, Any]) -> None:
    width = {} if kind in ('MeanPool',) else dict(width=D)
    neck = Necked(build(kind, **width, **arguments)).eval()
    takes_other_batches(neck, lambda batch: torch.randn(batch, FRAMES, D))


class Similarities(nn.Module):
    """Three texts and any number of videos."""

    def __init__(self, interaction: nn.Module) -> None:
        super().__init__()
        self.interaction = interaction
        self.texts = TextFeatures(
            torch.randn(3, 5, D), torch.randn(3, D), torch.arange(5) < torch.tensor([[2], [5], [3]])
        )

    def forward(self, frames: Tensor) -> Tensor:
        mask = torch.ones(frames.shape[:2], dtype=torch.bool)
        return self.interaction(self.texts, VideoFeatures(frames, mask))


@quietly_traced
@pytest.mark.parametrize(('kind', 'arguments'), INTERACTIONS, ids=name_case)
def test_traced_interactions(kind: str, arguments: dict[str, Any]) -> None:
    model = Similarities(build(kind, **arguments)).eval()
    takes_other_batches(model, lambda batch: torch.randn(batch, FRAMES, D))
