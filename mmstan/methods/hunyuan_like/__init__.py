"""An approximation of HunYuan_tvr (arXiv 2204.03382), whose code is not public."""

from mmstan.methods.hunyuan_like.interaction import HunyuanLike

__all__ = ['HunyuanLike']
