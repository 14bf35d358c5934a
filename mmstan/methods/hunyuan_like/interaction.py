"""An approximation of HunYuan_tvr's word and frame level."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmstan.methods.drl.token_wise import build_weight_net, compare_token_wise, weigh_features
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.interactions.base import Interaction
from mmstan.models.layers.sequence_blocks import FrameBlocks
from mmstan.registry import MODELS


@MODELS.register_module()
class HunyuanLike(Interaction):
    """WTI with self-attention among the words, and among the frames, for the weights. Approximate.

    HunYuan_tvr's formula is not public. The paper describes an aggregation layer (self-attention
    and MLP) on either side. Here that layer is put in front of the weight networks of
    :class:`WeightedTokenWise`, which have one linear layer each::

        w = softmax_j g(block(W)), u = softmax_t h(block'(V))

    The clip and phrase levels, label denoising and the triplet loss are not built. The blocks start
    as identities, so at the start this is the weighted token-wise interaction.

    Args:
        dim: D, width of the joint space.
        heads: Attention heads of both blocks.
    """

    def __init__(self, dim: int, *, heads: int = 8) -> None:
        super().__init__()
        self.text_blocks = FrameBlocks(dim, heads=heads, layers=1)
        self.video_blocks = FrameBlocks(dim, heads=heads, layers=1)
        self.text_net, self.video_net = build_weight_net(dim, 1), build_weight_net(dim, 1)
        # Zero output layers: attention and MLP add nothing yet.
        for blocks in (self.text_blocks, self.video_blocks):
            for name in ('0.attn.out_proj.weight', '0.mlp.c_proj.weight'):
                nn.init.zeros_(blocks.get_parameter(name))

    def forward(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Similarities (A, B)."""
        w, u = self.text_weights(text), self.video_weights(video)
        return compare_token_wise(text, video, w, u)

    def text_weights(self, text: TextFeatures) -> Tensor:
        """Weight w of each token, (A, J): sums to 1, and is 0 at padding."""
        return _weigh_seen(self.text_blocks, self.text_net, text.tokens, text.mask)

    def video_weights(self, video: VideoFeatures) -> Tensor:
        """Weight u of each frame, (B, T): sums to 1, and is 0 at padding."""
        return _weigh_seen(self.video_blocks, self.video_net, video.frames, video.mask)


def _weigh_seen(blocks: nn.Module, net: nn.Module, features: Tensor, mask: Tensor) -> Tensor:
    with torch.autocast(features.device.type, enabled=False):
        return weigh_features(net, blocks(features.float(), mask), mask)
