"""Released checkpoints -> ours: key maps that several methods share, and the table of systems."""

from mmstan.converters import (
    recognition,  # noqa: F401  (registers itself: our own two forms)
    whose_names,  # noqa: F401  (gives the loader its hint about foreign files)
)
from mmstan.converters.systems import CONVERTERS, Converter, register_converter

__all__ = ['CONVERTERS', 'Converter', 'register_converter']
