"""Released checkpoints -> ours: one file a system, key tables and nothing else."""

from mmstan.converters import clip4clip, dist, drl, stan, xclip, xclip_hf

CONVERTERS = {
    'clip4clip': clip4clip,
    'dist': dist,
    'drl': drl,
    'stan': stan,
    'xclip': xclip,
    'xclip_hf': xclip_hf,
}
"""System name -> module with ``from_released`` and ``to_released``."""

__all__ = ['CONVERTERS']
