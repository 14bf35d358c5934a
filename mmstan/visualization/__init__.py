"""Draw pictures of results, features and costs."""

from mmstan.visualization.activation import draw_activations, draw_overlay, map_activations
from mmstan.visualization.cka import compute_cka, compute_cka_matrix, draw_cka, pair_layers
from mmstan.visualization.comparison import draw_comparison
from mmstan.visualization.confusion import (
    Confusion,
    draw_confusions,
    list_confusions,
    write_confusions,
)
from mmstan.visualization.curves import choose_scalars, draw_curves, find_scalars, read_curves
from mmstan.visualization.detection import (
    KeyFrame,
    Person,
    draw_over_time,
    draw_persons,
    draw_sheet,
    lay_out,
)
from mmstan.visualization.film import draw_film, write_film
from mmstan.visualization.layers import collect_layer_tokens, group_layers, keep_same_frames
from mmstan.visualization.misalignment import (
    LEVELS,
    Alignment,
    OwnFrames,
    compare_own_frames,
    compute_recall_by_level,
    draw_levels,
    draw_misalignment,
    format_misalignment,
    measure_alignment,
)
from mmstan.visualization.recognition import (
    Strip,
    count_confusions,
    draw_confusion,
    draw_recognition,
    draw_strip,
)
from mmstan.visualization.retrieval import (
    Hit,
    draw_frame_weights,
    draw_hit,
    draw_mug_weights,
    draw_retrieved,
    draw_word_weights,
)
from mmstan.visualization.trade_off import TradeOff, draw_trade_off
from mmstan.visualization.video_visualizer import VideoVisualizer

__all__ = [
    'LEVELS',
    'Alignment',
    'Confusion',
    'Hit',
    'KeyFrame',
    'OwnFrames',
    'Person',
    'Strip',
    'TradeOff',
    'VideoVisualizer',
    'choose_scalars',
    'collect_layer_tokens',
    'compare_own_frames',
    'compute_cka',
    'compute_cka_matrix',
    'compute_recall_by_level',
    'count_confusions',
    'draw_activations',
    'draw_cka',
    'draw_comparison',
    'draw_confusion',
    'draw_confusions',
    'draw_curves',
    'draw_film',
    'draw_frame_weights',
    'draw_hit',
    'draw_levels',
    'draw_misalignment',
    'draw_mug_weights',
    'draw_over_time',
    'draw_overlay',
    'draw_persons',
    'draw_recognition',
    'draw_retrieved',
    'draw_sheet',
    'draw_strip',
    'draw_trade_off',
    'draw_word_weights',
    'find_scalars',
    'format_misalignment',
    'group_layers',
    'keep_same_frames',
    'lay_out',
    'list_confusions',
    'map_activations',
    'measure_alignment',
    'pair_layers',
    'read_curves',
    'write_confusions',
    'write_film',
]
