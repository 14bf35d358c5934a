"""Draw pictures of results, features and costs."""

from mmstan.visualization.activation import draw_activations, draw_overlay, map_activations
from mmstan.visualization.cam import (
    attention_map,
    compute_frame_shares,
    compute_gain,
    gradcam,
    scaled,
)
from mmstan.visualization.cam_picture import draw_maps
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
from mmstan.visualization.maps import (
    METHODS,
    Maps,
    Method,
    compute_maps,
    compute_time_matrix,
)
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
from mmstan.visualization.scores import class_rank, class_score, pair_score
from mmstan.visualization.trade_off import TradeOff, draw_trade_off
from mmstan.visualization.video_visualizer import VideoVisualizer
from mmstan.visualization.watch import (
    Layer,
    Record,
    find_layer,
    plain_pass,
    record_attention,
    record_norm,
    record_output,
)
from mmstan.visualization.wins import Win, draw_wins

__all__ = [
    'LEVELS',
    'METHODS',
    'Alignment',
    'Confusion',
    'Hit',
    'KeyFrame',
    'Layer',
    'Maps',
    'Method',
    'OwnFrames',
    'Person',
    'Record',
    'Strip',
    'TradeOff',
    'VideoVisualizer',
    'Win',
    'attention_map',
    'choose_scalars',
    'class_rank',
    'class_score',
    'collect_layer_tokens',
    'compare_own_frames',
    'compute_cka',
    'compute_cka_matrix',
    'compute_frame_shares',
    'compute_gain',
    'compute_maps',
    'compute_recall_by_level',
    'compute_time_matrix',
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
    'draw_maps',
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
    'draw_wins',
    'draw_word_weights',
    'find_layer',
    'find_scalars',
    'format_misalignment',
    'gradcam',
    'group_layers',
    'keep_same_frames',
    'lay_out',
    'list_confusions',
    'map_activations',
    'measure_alignment',
    'pair_layers',
    'pair_score',
    'plain_pass',
    'read_curves',
    'record_attention',
    'record_norm',
    'record_output',
    'scaled',
    'write_confusions',
    'write_film',
]
