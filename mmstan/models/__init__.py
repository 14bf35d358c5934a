"""Models, in the order in which a clip flows through them."""

from mmstan.models.backbones import (
    EVL,
    STAN,
    XCLIP,
    DiST,
    DividedSpaceTime,
    FrameEncoder,
    JointSpaceTime,
    STAdapter,
    TemporalShift,
    TubePatches,
)
from mmstan.models.heads import (
    FusedTextHead,
    PromptedTextHead,
    RetrievalHead,
    TextHead,
    VerbNounHead,
)
from mmstan.models.interactions import (
    Cosine,
    HunyuanLike,
    Mug,
    TightTransformer,
    TokenWise,
    VideoFeatures,
    WeightedTokenWise,
)
from mmstan.models.necks import (
    MeanPool,
    MultiFrameIntegration,
    SequenceConv,
    SequenceLSTM,
    SequenceTransformer,
    TemporalDifference,
)
from mmstan.models.temporal import DenseTemporalConv, MessageToken, TemporalAttention, TemporalConv
from mmstan.models.towers import ImageTower, MMPretrainImageTower, TextTower
from mmstan.models.video_text import VideoTextModel

__all__ = [
    'EVL',
    'STAN',
    'XCLIP',
    'Cosine',
    'DenseTemporalConv',
    'DiST',
    'DividedSpaceTime',
    'FrameEncoder',
    'FusedTextHead',
    'HunyuanLike',
    'ImageTower',
    'JointSpaceTime',
    'MMPretrainImageTower',
    'MeanPool',
    'MessageToken',
    'Mug',
    'MultiFrameIntegration',
    'PromptedTextHead',
    'RetrievalHead',
    'STAdapter',
    'SequenceConv',
    'SequenceLSTM',
    'SequenceTransformer',
    'TemporalAttention',
    'TemporalConv',
    'TemporalDifference',
    'TemporalShift',
    'TextHead',
    'TextTower',
    'TightTransformer',
    'TokenWise',
    'TubePatches',
    'VerbNounHead',
    'VideoFeatures',
    'VideoTextModel',
    'WeightedTokenWise',
]
