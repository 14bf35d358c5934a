"""X-CLIP beside transformers' ``XCLIPModel`` on random weights."""

import pytest
import torch
from torch import nn
from transformers import XCLIPConfig, XCLIPModel

from mmstan.methods.xclip import XCLIP, MultiFrameIntegration, VideoPrompting
from mmstan.methods.xclip import checkpoints as xclip
from mmstan.methods.xclip import checkpoints_hf as xclip_hf
from mmstan.models import TextTower


def theirs(t: int, *, patch: int, layers: int) -> XCLIPModel:
    vision = dict(
        hidden_size=48,
        intermediate_size=192,
        num_hidden_layers=layers,
        num_attention_heads=3,
        image_size=32,
        patch_size=patch,
        num_frames=t,
        mit_hidden_size=64,
        mit_intermediate_size=256,
        mit_num_hidden_layers=layers,
        mit_num_attention_heads=2,
    )
    text = dict(
        hidden_size=32,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=2,
        vocab_size=70,
        max_position_embeddings=16,
        eos_token_id=2,  # the released models' setting: the highest id ends the text
    )
    config = XCLIPConfig(
        text_config=text,
        vision_config=vision,
        projection_dim=64,
        prompt_layers=layers,
        prompt_num_attention_heads=4,
    )
    model = XCLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases are born as zeros, norms as ones
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def ours(t: int, *, patch: int, layers: int) -> nn.ModuleDict:
    vision_cfg = dict(image_size=32, patch_size=patch, width=48, layers=layers, head_width=16)
    text_cfg = dict(context_length=16, vocab_size=70, width=32, heads=2, layers=layers)
    sizes = dict(embed_dim=64, quick_gelu=True, vision_cfg=vision_cfg, text_cfg=text_cfg)
    return nn.ModuleDict(
        dict(
            backbone=XCLIP(dict(type='mmstan.ImageTower', model=sizes)),
            neck=MultiFrameIntegration(64, num_frames=t, heads=2, layers=layers),
            text_tower=TextTower(sizes),
            prompting=VideoPrompting(64, heads=4, layers=layers),
        )
    ).eval()


@torch.no_grad()
@pytest.mark.parametrize(('t', 'patch', 'layers'), [(1, 16, 1), (3, 8, 2), (8, 8, 3)])
def test_same_scores(t: int, patch: int, layers: int) -> None:
    hf, parts = theirs(t, patch=patch, layers=layers), ours(t, patch=patch, layers=layers)
    state = xclip_hf.from_released(hf.state_dict(), text_tower='text_tower.')
    scale = state.pop('cls_head.logit_scale').exp()
    parts.load_state_dict({k.removeprefix('cls_head.'): v for k, v in state.items()})
    clip, ids = torch.randn(2, 3, t, 32, 32), torch.randint(1, 60, (5, 16))
    ids[:, -1] = 69
    ids[0, 4] = 69  # what follows the end is not read
    expected = hf(input_ids=ids, pixel_values=clip.transpose(1, 2))
    (video, context), _ = parts['neck'](parts['backbone'](clip))
    texts = parts['text_tower'](ids).sentence
    cosines = parts['prompting'](texts, video, context)
    torch.testing.assert_close(
        cosines, expected.logits_per_video / hf.logit_scale.exp(), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(scale, hf.logit_scale.exp())
    unit = video / video.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(unit, expected.video_embeds, atol=1e-5, rtol=1e-5)


def test_both_released_forms_mean_the_same() -> None:
    """microsoft's names -> ours -> Hugging Face's, and back."""
    hf = theirs(3, patch=8, layers=2).state_dict()
    state = xclip_hf.from_released(hf)
    microsoft = xclip.to_released(state)
    assert len(hf) > len(microsoft)  # query, key and value are apart there
    again = xclip_hf.to_released(xclip.from_released(microsoft))
    assert again.keys() == hf.keys()
    assert all(torch.equal(again[name], hf[name]) for name in hf)
