"""ActionCLIP: shift, convolution and class token over frames, and its loss (arXiv 2109.08472)."""

from mmstan.methods.actionclip import checkpoints  # noqa: F401  (registers its names)
from mmstan.methods.actionclip.matching_labels_head import MatchingLabelsHead
from mmstan.methods.actionclip.sequence_class_token import SequenceClassToken
from mmstan.methods.actionclip.sequence_conv import SequenceConv
from mmstan.methods.actionclip.temporal_shift import TemporalShift

__all__ = ['MatchingLabelsHead', 'SequenceClassToken', 'SequenceConv', 'TemporalShift']
