"""DRL: token-wise interactions, and the regulariser of their channels (arXiv 2203.07111)."""

from mmstan.methods.drl import checkpoints  # noqa: F401  (registers its names)
from mmstan.methods.drl.channel_decorrelation import ChannelDecorrelation
from mmstan.methods.drl.token_wise import TokenWise, WeightedTokenWise

__all__ = ['ChannelDecorrelation', 'TokenWise', 'WeightedTokenWise']
