"""Hugging Face's names of CLIP's vision transformer: there and back, old names, strict."""

import pytest
import torch
from helpers.tiny_chat import VISION
from transformers import CLIPVisionConfig, CLIPVisionModel

from mmstan.converters.hf_vision import from_hf_vision, to_hf_vision


def test_there_and_back_and_old_names() -> None:
    theirs = CLIPVisionModel(CLIPVisionConfig(**VISION)).state_dict()
    ours = from_hf_vision(theirs)
    assert ours['transformer.resblocks.3.attn.in_proj_weight'].shape == (192, 64)
    assert torch.equal(ours['conv1.weight'], theirs['embeddings.patch_embedding.weight'])
    back = to_hf_vision({**ours, 'proj': torch.zeros(1)})
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)
    old = {f'vision_model.{name}': tensor for name, tensor in theirs.items()}
    old['vision_model.embeddings.position_ids'] = torch.arange(17)
    assert from_hf_vision(old).keys() == ours.keys()
    del theirs['pre_layrnorm.bias']
    with pytest.raises(ValueError, match=r'1 tensors missing: pre_layrnorm\.bias'):
        from_hf_vision(theirs)
