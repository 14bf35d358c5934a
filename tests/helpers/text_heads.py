"""Tiny text heads and recognizers, and the scores that they should give."""

from typing import Any

import torch
import torch.nn.functional as F
from helpers.tiny_models import WORDS, shaken
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
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


def recognizer(**arguments: Any) -> nn.Module:
    tower = dict(type='mmstan.TextTower', model=WORDS, frozen=True)
    cfg = Config(
        dict(
            model=dict(
                type='mmaction.Recognizer3D',
                backbone=dict(
                    type='mmstan.FrameEncoder', tower=dict(type='mmstan.ImageTower', model=WORDS)
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
