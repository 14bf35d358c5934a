"""CLIP4Clip: heads over the frames of CLIP (Neurocomputing 2022, arXiv 2104.08860)."""

from mmstan.methods.clip4clip import checkpoints  # noqa: F401  (registers its names)
from mmstan.methods.clip4clip.sequence_lstm import SequenceLSTM
from mmstan.methods.clip4clip.sequence_transformer import SequenceTransformer
from mmstan.methods.clip4clip.tight_transformer import TightTransformer
from mmstan.methods.clip4clip.tube_patches import TubePatches

__all__ = ['SequenceLSTM', 'SequenceTransformer', 'TightTransformer', 'TubePatches']
