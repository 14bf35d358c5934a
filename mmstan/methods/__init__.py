"""Methods: one room a paper, with its backbone, neck, head, interaction and checkpoint map.

A room is a sub-package. Importing :mod:`mmstan.methods` finds and imports every one, which
registers its classes and the names of its released checkpoints.
"""

import importlib
import pkgutil

for _room in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_room.name}')
