"""The training loop, hooks and optimiser groups that MMEngine lacks."""

from mmstan.engine.before_training import AlikeCaptions, check_before_training
from mmstan.engine.broken_videos import BrokenVideos
from mmstan.engine.clip_rate import ClipRate
from mmstan.engine.finite_scores import FiniteScores
from mmstan.engine.finite_training import FiniteTraining
from mmstan.engine.param_groups import ParamGroups
from mmstan.engine.prepare_resume import PrepareResume
from mmstan.engine.retrieval_loops import RetrievalTestLoop, RetrievalValLoop
from mmstan.engine.save_rng import SaveRNG, get_rng_state, set_rng_state
from mmstan.engine.slow_data import SlowData
from mmstan.engine.train_loop import EpochTrainLoop

__all__ = [
    'AlikeCaptions',
    'BrokenVideos',
    'ClipRate',
    'EpochTrainLoop',
    'FiniteScores',
    'FiniteTraining',
    'ParamGroups',
    'PrepareResume',
    'RetrievalTestLoop',
    'RetrievalValLoop',
    'SaveRNG',
    'SlowData',
    'check_before_training',
    'get_rng_state',
    'set_rng_state',
]
