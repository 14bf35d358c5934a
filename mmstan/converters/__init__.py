"""Released checkpoints -> ours: one file a system, key tables and nothing else."""

from mmstan.converters import (
    actionclip,
    clip2video,
    clip4clip,
    dist,
    drl,
    evl,
    recognition,
    st_adapter,
    stan,
    timesformer,
    xclip,
    xclip_hf,
)

CONVERTERS = {
    'actionclip': actionclip,
    'clip2video': clip2video,
    'clip4clip': clip4clip,
    'dist': dist,
    'drl': drl,
    'evl': evl,
    'recognition': recognition,
    'st_adapter': st_adapter,
    'stan': stan,
    'timesformer': timesformer,
    'xclip': xclip,
    'xclip_hf': xclip_hf,
}
"""System name -> module with ``from_released`` and ``to_released``; ``recognition`` is our own."""

__all__ = ['CONVERTERS']
