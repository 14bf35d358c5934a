"""Heads: features and texts -> scores and losses."""

from mmstan.compat.moved import make_getattr
from mmstan.models.heads.class_names import read_class_names
from mmstan.models.heads.class_texts import ClassTexts, check_templates
from mmstan.models.heads.named_classes_head import NamedClassesHead
from mmstan.models.heads.retrieval_head import RetrievalHead
from mmstan.models.heads.text_head import TextHead
from mmstan.models.heads.verb_noun_head import VerbNounHead

__all__ = [
    'ClassTexts',
    'NamedClassesHead',
    'RetrievalHead',
    'TextHead',
    'VerbNounHead',
    'check_templates',
    'read_class_names',
]

__getattr__ = make_getattr(__name__)
