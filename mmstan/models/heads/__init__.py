"""Heads: features and texts -> scores and losses."""

from mmstan.models.heads.class_names import read_class_names
from mmstan.models.heads.class_texts import ClassTexts
from mmstan.models.heads.fused_text_head import FusedTextHead
from mmstan.models.heads.prompted_text_head import PromptedTextHead
from mmstan.models.heads.retrieval_head import RetrievalHead
from mmstan.models.heads.text_head import TextHead
from mmstan.models.heads.verb_noun_head import VerbNounHead
from mmstan.models.heads.video_prompting import VideoPrompting

__all__ = [
    'ClassTexts',
    'FusedTextHead',
    'PromptedTextHead',
    'RetrievalHead',
    'TextHead',
    'VerbNounHead',
    'VideoPrompting',
    'read_class_names',
]
