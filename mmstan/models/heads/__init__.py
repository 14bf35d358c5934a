"""Heads: features and texts -> scores and losses."""

from mmstan.models.heads.class_names import read_class_names
from mmstan.models.heads.class_texts import ClassTexts
from mmstan.models.heads.retrieval_head import RetrievalHead
from mmstan.models.heads.text_head import TextHead

__all__ = ['ClassTexts', 'RetrievalHead', 'TextHead', 'read_class_names']
