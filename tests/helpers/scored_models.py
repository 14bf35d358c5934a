"""Tiny models of both tasks, which score texts and classes, with every backbone."""

from functools import cache
from typing import Any

import torch
from helpers.every_backbone import BACKBONES, DIST, EVL, T
from helpers.retrieval_models import PREPROCESSOR, head
from helpers.tiny_models import COCA, IMAGE, TEXT, VIT_TOWER, WORDS, shaken
from mmaction.registry import MODELS

NAMES = ['moving left', 'moving right', 'growing']
TOWER = dict(type='mmstan.ImageTower', model=WORDS)
TEXT_TOWER = dict(type='mmstan.TextTower', model=WORDS)
COCA_WORDS = dict(
    COCA,
    text_cfg=dict(
        TEXT, vocab_size=49408, width=8, heads=1, layers=1, embed_cls=True, output_tokens=True
    ),
)
MEAN = dict(type='mmstan.MeanPool')
LINEAR = dict(type='TimeSformerHead', num_classes=3, in_channels=IMAGE['width'])
TEXT_HEAD = dict(
    type='mmstan.TextHead', class_names=NAMES, text_tower=dict(TEXT_TOWER, frozen=True)
)
COSINE = dict(type='mmstan.Cosine')
MUG = dict(type='mmstan.Mug', sharpness=5.0)
XCLIP_PARTS = dict(
    neck=dict(type='mmstan.MultiFrameIntegration', width=16, num_frames=T, heads=2),
    cls_head=dict(TEXT_HEAD, type='mmstan.PromptedTextHead'),
)


def recognition(backbone: dict[str, Any], **parts: Any) -> dict[str, Any]:
    parts = {'neck': MEAN, 'cls_head': TEXT_HEAD, **parts}
    parts = {key: value for key, value in parts.items() if value is not None}
    return dict(
        type='mmaction.Recognizer3D',
        backbone=dict(tower=TOWER) | backbone,
        data_preprocessor=dict(PREPROCESSOR, type='mmaction.ActionDataPreprocessor'),
        **parts,
    )


def retrieval(
    backbone: dict[str, Any], interaction: dict[str, Any], **parts: Any
) -> dict[str, Any]:
    return (
        dict(
            type='mmstan.VideoTextModel',
            backbone=dict(tower=TOWER) | backbone,
            text_tower=TEXT_TOWER,
            head=head(interaction),
            data_preprocessor=PREPROCESSOR,
        )
        | parts
    )


FROZEN = dict(TOWER, frozen=True)
JOINT = [
    name for name in BACKBONES if name not in ('evl', 'xclip', 'st_adapter before both halves')
]
MODELS_OF_BOTH_TASKS: dict[str, dict[str, Any]] = {
    **{f'{name}, recognition': recognition(BACKBONES[name]) for name in JOINT},
    **{f'{name}, retrieval': retrieval(BACKBONES[name], COSINE) for name in JOINT},
    'st_adapter before both halves, recognition': recognition(
        BACKBONES['st_adapter before both halves'], cls_head=LINEAR
    ),
    'stan, Mug recognition': recognition(
        BACKBONES['stan'], neck=None, cls_head=dict(TEXT_HEAD, interaction=MUG)
    ),
    'stan, Mug retrieval': retrieval(BACKBONES['stan'], MUG),
    'stan, CoCa retrieval': retrieval(
        dict(BACKBONES['stan'], tower=dict(type='mmstan.ImageTower', model=COCA_WORDS)),
        COSINE,
        text_tower=dict(type='mmstan.TextTower', model=COCA_WORDS),
    ),
    'clip, tight transformer': retrieval(
        BACKBONES['clip'],
        dict(type='mmstan.TightTransformer', width=16, heads=2, layers=1),
    ),
    'clip, WTI': retrieval(BACKBONES['clip'], dict(type='mmstan.WeightedTokenWise', dim=16)),
    'clip, temporal difference': retrieval(
        BACKBONES['clip'],
        COSINE,
        neck=dict(type='mmstan.TemporalDifference', width=16, heads=2, layers=1),
    ),
    'xclip, prompted names': recognition(BACKBONES['xclip'], **XCLIP_PARTS),
    'evl, linear head': recognition(dict(EVL, tower=FROZEN), cls_head=LINEAR),
    'clip, MMPretrain tower': recognition(
        dict(BACKBONES['clip'], tower=VIT_TOWER), cls_head=LINEAR
    ),
    'dist, recognition': recognition(dict(DIST, tower=FROZEN), neck=None),
    'dist, retrieval': retrieval(dict(DIST, tower=FROZEN), COSINE),
}


@cache
def _without_backbone(task: str) -> Any:
    """A model of a task, whose backbone is replaced: a tokenizer takes longer than all else."""
    return MODELS.build(MODELS_OF_BOTH_TASKS[f'clip, {task}'])


def build(name: str) -> Any:
    """The model of a name, every parameter shaken, in evaluation mode."""
    cfg = MODELS_OF_BOTH_TASKS[name]
    torch.manual_seed(0)
    backbone, _, task = name.partition(', ')
    if backbone not in JOINT or task not in ('recognition', 'retrieval'):
        return shaken(MODELS.build(cfg)).eval()
    model = _without_backbone(task)
    model.backbone = shaken(MODELS.build(cfg['backbone']))
    return model.requires_grad_(True).eval()
