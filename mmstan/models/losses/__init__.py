"""Losses."""

from mmstan.models.losses.contrastive import contrastive_loss, gather

__all__ = ['contrastive_loss', 'gather']
