from typing import Any

import pytest
import torch
from helpers.tiny_models import CLIP, COCA, SIZES, reference, shaken
from mmaction.registry import MODELS
from torch import Tensor, nn

from mmstan.models import FrameEncoder, MeanPool
from mmstan.models.backbones import clip_to_images

VIT = dict(
    arch=dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64),
    img_size=32,
    patch_size=8,
)
TOWERS = {
    'clip': dict(type='mmstan.ImageTower', model=CLIP),
    'coca': dict(type='mmstan.ImageTower', model=COCA),
    'mmpretrain': dict(type='mmstan.MMPretrainImageTower', vit=VIT),
}


@pytest.fixture(params=TOWERS)
def backbone(request: pytest.FixtureRequest) -> FrameEncoder:
    return MODELS.build(dict(type='mmstan.FrameEncoder', tower=dict(TOWERS[request.param]))).eval()


@torch.no_grad()
@pytest.mark.parametrize(
    ('clips', 'frames', 'size'), [(2, 3, (32, 32)), (1, 1, (32, 32)), (2, 4, (24, 40))]
)
def test_frames_are_encoded_one_by_one(
    backbone: FrameEncoder, clips: int, frames: int, size: tuple[int, int]
) -> None:
    clip = torch.randn(clips, 3, frames, *size)
    features = backbone(clip)
    assert features.shape == (clips, frames, backbone.out_dim)
    for n in range(clips):
        for t in range(frames):
            alone = backbone.tower(clip[n : n + 1, :, t])
            torch.testing.assert_close(features[n, t], alone[0], rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('name', ['clip', 'coca'])
def test_equals_open_clip_on_each_frame(name: str) -> None:
    theirs, backbone = reference(SIZES[name]), FrameEncoder(dict(TOWERS[name])).eval()
    backbone.tower.visual.load_state_dict(theirs.visual.state_dict())
    clip = torch.randn(2, 3, 4, 32, 32)
    each = [theirs.encode_image(clip[:, :, t], normalize=False) for t in range(4)]
    torch.testing.assert_close(backbone(clip), torch.stack(each, dim=1), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_tokens(backbone: FrameEncoder) -> None:
    clip = torch.randn(2, 3, 4, 32, 24)
    tokens = backbone.tokens(clip)
    assert tokens.shape == (2, 4, 1 + 4 * 3, backbone.tower.width)
    projected = backbone.tower.project(tokens.flatten(0, 1)).unflatten(0, (2, 4))
    torch.testing.assert_close(projected, backbone(clip), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('shape', [(4, 3, 32, 32), (2, 8, 3, 32, 32), (3, 8, 32, 32)])
def test_format_shape(shape: tuple[int, ...], backbone: FrameEncoder) -> None:
    for method in (backbone, backbone.tokens):
        with pytest.raises(ValueError, match=r'^FormatShape must be NCTHW') as error:
            method(torch.zeros(shape))
        assert str(shape) in str(error.value)


def test_clip_to_images_keeps_the_frames_of_a_clip_together() -> None:
    clip = torch.arange(2.0)[:, None] * 10 + torch.arange(3.0)  # (N, T): its index
    images = clip_to_images(clip[:, None, :, None, None].expand(2, 3, 3, 4, 4))
    assert images.shape == (6, 3, 4, 4)
    assert images[:, 0, 0, 0].tolist() == [0, 1, 2, 10, 11, 12]


def test_gradients_reach_every_parameter(backbone: FrameEncoder) -> None:
    backbone.train()
    backbone(torch.randn(2, 3, 2, 32, 32))[..., 0].square().sum().backward()
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize('name', TOWERS)
def test_frozen_tower_keeps_no_graph(name: str) -> None:
    frozen = FrameEncoder(dict(TOWERS[name], frozen=True)).train()
    assert frozen.training
    assert not any(m.training for m in frozen.tower.modules())
    assert not frozen(torch.randn(1, 3, 2, 32, 32)).requires_grad


def test_compiles_in_one_graph(backbone: FrameEncoder) -> None:
    clip = torch.randn(2, 3, 3, 32, 32)
    compiled = torch.compile(backbone, fullgraph=True, backend='eager')
    torch.testing.assert_close(compiled(clip), backbone(clip), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_mixed_precision(backbone: FrameEncoder, dtype: torch.dtype) -> None:
    clip = torch.randn(2, 3, 3, 32, 32)
    with torch.autocast('cpu', dtype=dtype):
        features = backbone(clip)
    error = (features.float() - backbone(clip)).abs().max()
    assert 0 < error < 0.1


def test_mean_pool() -> None:
    neck = MODELS.build(dict(type='mmstan.MeanPool'))
    x = torch.randn(2, 5, 4)
    for out, aux in (neck(x), neck(x, data_samples=[object()])):
        assert aux == {}
        torch.testing.assert_close(out, sum(x.unbind(1)) / 5)
    assert isinstance(neck, MeanPool)


# --- MMPretrain ---


def mmpretrain_vit(**arguments: Any) -> nn.Module:
    from mmpretrain.models.backbones import VisionTransformer

    model = shaken(VisionTransformer(**{**VIT, **arguments}, out_type='cls_token'))
    model.eval()  # MMPretrain's returns None
    return model


@torch.no_grad()
@pytest.mark.parametrize('size', [(32, 32), (48, 48), (24, 40)])
@pytest.mark.parametrize('arguments', [{}, dict(pre_norm=True), dict(final_norm=False)])
def test_mmpretrain_tower_equals_mmpretrain(
    size: tuple[int, int], arguments: dict[str, Any]
) -> None:
    theirs = mmpretrain_vit(**arguments)
    tower = MODELS.build(dict(TOWERS['mmpretrain'], vit=dict(VIT, **arguments))).eval()
    tower.visual.load_state_dict(theirs.state_dict())  # strictly: the names are MMPretrain's own
    images = torch.randn(2, 3, *size)
    torch.testing.assert_close(tower(images), theirs(images)[0], rtol=1e-5, atol=1e-5)
    tokens = tower.run_blocks(tower.embed(images))
    projected: Tensor = tower.project_tokens(tokens)
    torch.testing.assert_close(projected[:, 0], theirs(images)[0], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_mmpretrain_weights_load_in_init_weights(tmp_path: Any) -> None:
    theirs = mmpretrain_vit(img_size=48)
    state = {f'backbone.{key}': value for key, value in theirs.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'vit.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'vit.pth'), prefix='backbone.')
    backbone = FrameEncoder(dict(TOWERS['mmpretrain'], vit=dict(VIT, img_size=48, init_cfg=init)))
    backbone.eval().init_weights()
    images = torch.randn(2, 3, 48, 48)
    torch.testing.assert_close(backbone.tower(images), theirs(images)[0], rtol=1e-5, atol=1e-5)


def test_mmpretrain_without_class_token() -> None:
    with pytest.raises(ValueError, match='is refused: it has no class token'):
        MODELS.build(
            dict(TOWERS['mmpretrain'], vit=dict(VIT, with_cls_token=False, out_type='avg_featmap'))
        )


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(out_type='avg_featmap'), "out_type='avg_featmap': the feature .* its class token"),
        (dict(out_indices=[0, 1]), r'out_indices=\[0, 1\]: the tower ends'),
        (dict(layer_cfgs=dict(attn_drop_rate=0.1)), r'attn_drop_rate=0\.1: attention has no'),
    ],
)
def test_mmpretrain_options_without_an_effect(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(TOWERS['mmpretrain'], vit=dict(VIT, **options)))
