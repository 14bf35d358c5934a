"""Videos in tar files: their index, their samples and their order."""

from mmstan.datasets.shards.dataset import Shards
from mmstan.datasets.shards.index import ShardIndex, open_index
from mmstan.datasets.shards.mixture import MixedClips
from mmstan.datasets.shards.names import find_shards
from mmstan.datasets.shards.sampler import ShardSampler
from mmstan.datasets.shards.stream import ShardStream

__all__ = [
    'MixedClips',
    'ShardIndex',
    'ShardSampler',
    'ShardStream',
    'Shards',
    'find_shards',
    'open_index',
]
