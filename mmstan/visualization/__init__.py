"""Pictures."""

from mmstan.visualization.activation import activation_maps, activation_report, overlay
from mmstan.visualization.cka import cka, cka_matrix, cka_report, layer_by_layer
from mmstan.visualization.film import draw_film
from mmstan.visualization.layers import layer_groups, layer_tokens, same_frames
from mmstan.visualization.misalignment import (
    LEVELS,
    Alignment,
    OwnFrames,
    alignment,
    draw_levels,
    misalignment_report,
    misalignment_table,
    own_frames,
    recall_by_level,
)
from mmstan.visualization.recognition import (
    Strip,
    confusion_matrix,
    draw_confusion,
    draw_strip,
    recognition_report,
)
from mmstan.visualization.retrieval import (
    Hit,
    draw_frame_weights,
    draw_hit,
    draw_word_weights,
    mug_weights,
    retrieval_strips,
)
from mmstan.visualization.trade_off import TradeOff, trade_off_picture

__all__ = [
    'LEVELS',
    'Alignment',
    'Hit',
    'OwnFrames',
    'Strip',
    'TradeOff',
    'activation_maps',
    'activation_report',
    'alignment',
    'cka',
    'cka_matrix',
    'cka_report',
    'confusion_matrix',
    'draw_confusion',
    'draw_film',
    'draw_frame_weights',
    'draw_hit',
    'draw_levels',
    'draw_strip',
    'draw_word_weights',
    'layer_by_layer',
    'layer_groups',
    'layer_tokens',
    'misalignment_report',
    'misalignment_table',
    'mug_weights',
    'overlay',
    'own_frames',
    'recall_by_level',
    'recognition_report',
    'retrieval_strips',
    'same_frames',
    'trade_off_picture',
]
