"""BT-Adapter: STAN's branch next to a frozen tower, for video chat (CVPR 2024, arXiv 2309.15785).

The backbone is ``mmstan.STAN(class_token='own', gates=True)``.
"""

from mmstan.methods.bt_adapter import checkpoints  # noqa: F401  (registers its names)
from mmstan.methods.bt_adapter.pretraining import BTAdapterModel

__all__ = ['BTAdapterModel']
