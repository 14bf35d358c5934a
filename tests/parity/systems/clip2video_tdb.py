"""CLIP2Video's temporal difference block, from the released state dict through the converter."""

from typing import Any

from parity.systems.clip4clip_meanp import head, towers
from torch import Tensor

from mmstan.methods.clip2video import checkpoints as clip2video
from mmstan.models import VideoTextModel


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    neck = dict(
        type='mmstan.TemporalDifference',
        width=meta['projection_dim'],
        heads=meta['temporal_heads'],
        layers=meta['temporal_layers'],
        max_frames=meta['temporal_positions'],
    )
    cosine = head(dict(type='mmstan.Cosine'))
    model = VideoTextModel(**towers(meta), head=cosine, neck=neck).eval()
    model.load_state_dict(clip2video.from_released(state))
    text = model.text_tower(io['token_ids'])
    video = model.encode_videos(io['video'])
    frames = model.backbone(io['video'])
    differences = model.neck.differences(frames, video.mask[:, 1:])
    return {
        'frame_features': frames,
        'text_features': text.sentence,
        'difference_tokens': differences,
        'temporal_input': model.neck.interleave(frames, differences),
        'temporal_features': video.frames,
        'video_features': model.head.interaction.pool(video),
        'sim': model.head.logits(text, video),
    }
