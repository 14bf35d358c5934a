"""ST-Adapter: adapters with a convolution over time (NeurIPS 2022, arXiv 2206.13559)."""

from mmstan.methods.st_adapter import checkpoints  # noqa: F401  (registers its names)
from mmstan.methods.st_adapter.backbone import STAdapter

__all__ = ['STAdapter']
