"""The pooling's query block computes PyTorch's attention."""

import torch
from helpers.tiny_models import shaken

from mmstan.methods.dist.integration import QueryBlock


@torch.no_grad()
def test_attention_is_pytorchs() -> None:
    block = shaken(QueryBlock(24)).eval()
    query, sequence = torch.randn(3, 1, 24), torch.randn(3, 5, 24)
    keys = block.norm(sequence)
    update, _ = block.attn(block.norm(query), keys, keys, need_weights=False)
    right = query + update
    right = right + block.mlp(block.mlp_norm(right))
    torch.testing.assert_close(block(query, sequence), right, rtol=1e-5, atol=1e-6)
