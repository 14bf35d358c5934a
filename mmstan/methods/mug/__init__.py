"""Mug-STAN: mutual-guided alignment of texts and videos (arXiv 2311.15075)."""

from mmstan.methods.mug.interaction import Mug

__all__ = ['Mug']
