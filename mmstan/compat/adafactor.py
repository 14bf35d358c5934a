"""transformers' Adafactor among MMEngine's optimisers, as MMEngine itself registers it."""

from mmengine.registry import OPTIMIZERS

try:
    from transformers import Adafactor
except ImportError:
    pass
else:
    if 'Adafactor' not in OPTIMIZERS.module_dict:
        OPTIMIZERS.register_module(name='Adafactor', module=Adafactor)
