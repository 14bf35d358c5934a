"""Released checkpoints -> ours: one file a system, key tables and nothing else."""

from mmstan.converters import stan

CONVERTERS = {'stan': stan}
"""System name -> module with ``from_released`` and ``to_released``."""

__all__ = ['CONVERTERS']
