"""Released checkpoints -> ours: one file a system, key tables and nothing else."""

from mmstan.converters import clip4clip, drl, stan

CONVERTERS = {'clip4clip': clip4clip, 'drl': drl, 'stan': stan}
"""System name -> module with ``from_released`` and ``to_released``."""

__all__ = ['CONVERTERS']
