"""CLIP4Clip without parameters over time, from the released state dict through the converter."""

from typing import Any

from mmaction.structures import ActionDataSample
from torch import Tensor

from mmstan.methods.clip4clip import checkpoints as clip4clip
from mmstan.models import VideoTextModel


def towers(meta: dict[str, Any]) -> dict[str, Any]:
    """Both towers of a :class:`VideoTextModel`, of the case's sizes."""
    vision, text = dict(meta['vision']), dict(meta['text'])
    vision['head_width'] = vision['width'] // vision.pop('heads')
    text['vocab_size'] = text.pop('vocab')
    sizes = dict(embed_dim=meta['projection_dim'], quick_gelu=True)
    image_tower = dict(type='mmstan.ImageTower', model=dict(sizes, vision_cfg=vision))
    return dict(
        backbone=dict(type='mmstan.FrameEncoder', tower=image_tower),
        text_tower=dict(type='mmstan.TextTower', model=dict(sizes, text_cfg=text)),
    )


def head(interaction: dict[str, Any]) -> dict[str, Any]:
    """CLIP4Clip's head: a learned scale, and the mean of the two directions."""
    return dict(
        type='mmstan.RetrievalHead',
        interaction=interaction,
        trainable_scale=True,
        max_scale=100.0,
        reduction='mean',
    )


def samples(io: dict[str, Tensor]) -> list[ActionDataSample]:
    """A data sample for each video, with its frame mask."""
    out = [ActionDataSample() for _ in io['video_mask']]
    for sample, mask in zip(out, io['video_mask'].bool()):
        sample.frame_mask = mask
    return out


def outputs(
    meta: dict[str, Any],
    state: dict[str, Tensor],
    io: dict[str, Tensor],
    neck: dict[str, Any] | None = None,
) -> dict[str, Tensor]:
    cosine = head(dict(type='mmstan.Cosine'))
    model = VideoTextModel(**towers(meta), head=cosine, neck=neck).eval()
    model.load_state_dict(clip4clip.from_released(state))
    text = model.text_tower(io['token_ids'])
    video = model.encode_videos(io['video'], data_samples=samples(io))
    after_neck = {} if neck is None else {'temporal_features': video.frames}
    return {
        'frame_features': model.backbone(io['video']),
        'text_features': text.sentence,
        'video_features': model.head.interaction.pool(video),
        'sim': model.head.logits(text, video),
        **after_neck,
    }
