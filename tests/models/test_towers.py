import copy
from typing import Any

import open_clip
import pytest
import torch
import torch.nn.functional as F
from helpers.tiny_models import (
    CLIP,
    COCA,
    IMAGE,
    SIZES,
    TEXT,
    VIT_TOWER,
    WORDS,
    reference,
    token_ids,
    towers,
)
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmstan.models import ImageTower, TextTower
from mmstan.models.sizes import Sizes
from mmstan.registry import MODELS


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.fixture(params=['clip', 'coca'])
def sizes(request: pytest.FixtureRequest) -> dict[str, Any]:
    return SIZES[request.param]


@torch.no_grad()
@pytest.mark.parametrize('quick_gelu', [False, True])
def test_equals_open_clip(sizes: dict[str, Any], quick_gelu: bool) -> None:
    theirs = reference(sizes, quick_gelu=quick_gelu)
    image, text = towers(dict(sizes, quick_gelu=quick_gelu), theirs)
    images, ids = torch.randn(3, 3, 32, 32), token_ids([4, 12, 7])
    assert_equal(image(images), theirs.encode_image(images, normalize=False))
    assert_equal(text(ids).sentence, theirs.encode_text(ids, normalize=False))


@torch.no_grad()
@pytest.mark.parametrize('name', ['ViT-B-32', 'coca_ViT-B-32'])
def test_equals_open_clip_at_full_size(name: str) -> None:
    theirs = open_clip.create_model(name, pretrained=None).eval()
    image, text = towers(name, theirs)
    images, ids = torch.randn(1, 3, 224, 224), text.tokenize(['a dog jumps over a fence'])
    assert_equal(image(images), theirs.encode_image(images, normalize=False))
    assert_equal(text(ids).sentence, theirs.encode_text(ids, normalize=False))
    assert (image.width, image.heads, image.joint_dim, len(image.blocks)) == (768, 12, 512, 12)


def test_every_architecture_of_open_clip_is_taken_or_refused() -> None:
    taken = set()
    for name in open_clip.list_models():
        try:
            with torch.device('meta'):
                if not {'bigG', 'e', 'g', 'H', 'L'} & set(name.split('-')):  # they differ in size
                    assert ImageTower(name).joint_dim == TextTower(name).joint_dim
                    taken.add(name)
        except ValueError as error:
            assert 'is refused' in str(error)
    assert taken >= {'ViT-B-16', 'ViT-B-32', 'ViT-B-16-quickgelu', 'coca_ViT-B-32', 'ViT-M-16-alt'}
    assert not {name for name in taken if 'SigLIP' in name or 'EVA' in name or 'RN' in name}


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('RN50', 'its image tower is a ResNet'),
        ('ViT-B-16-SigLIP', 'is refused'),
        ('EVA02-B-16', 'its image tower is a timm model'),
        ('roberta-ViT-B-32', 'its text tower is a Hugging Face model'),
        ('ViT-L-14-CLIPA', 'without a class token|not a causal one'),
        ('ViT-B-61', "is not an open_clip model; near it: .*'?ViT-B-16"),
        ('hf-hub:somebody/something', 'is not an open_clip model'),
        (dict(vision_cfg=IMAGE), 'embed_dim'),
        (dict(CLIP, visoin_cfg=IMAGE), r"unknown: \['visoin_cfg'\]"),
        (dict(CLIP, vision_cfg=dict(IMAGE, pool_type='avg')), 'without a class token'),
        (dict(CLIP, vision_cfg=dict(IMAGE, attentional_pool='parallel')), 'attention pooler'),
    ],
)
@pytest.mark.parametrize('tower', [ImageTower, TextTower])
def test_refused_models(tower: type, name: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        tower(name)
    assert '\n' not in str(caught.value)


def test_patch_dropout_is_refused() -> None:
    with pytest.raises(ValueError, match=r'patch_dropout=0\.5: the tower keeps all patches'):
        ImageTower(dict(CLIP, vision_cfg=dict(IMAGE, patch_dropout=0.5)))


def test_refused_blocks() -> None:
    with pytest.raises(ValueError, match='not plain pre-norm ones'):
        ImageTower(dict(CLIP, vision_cfg=dict(IMAGE, qk_norm=True)))


@torch.no_grad()
def test_image_size_that_is_not_square(sizes: dict[str, Any]) -> None:
    theirs = reference(sizes)
    image, _ = towers(sizes, theirs)
    images = torch.randn(2, 3, 24, 56)
    # open_clip takes another size only after its table was interpolated to it.
    wide = copy.deepcopy(sizes)
    wide['vision_cfg']['image_size'] = (24, 56)
    state = theirs.state_dict()
    resized = reference(wide)
    open_clip.model.resize_pos_embed(state, resized)
    resized.load_state_dict(state)
    assert_equal(image(images), resized.encode_image(images, normalize=False))
    assert image.embed(images).shape == (2, 1 + 3 * 7, 32)
    assert image.positions((3, 7)).shape == (1 + 3 * 7, 32)


def test_positions_of_another_shape_with_as_many_patches() -> None:
    image = ImageTower(CLIP)
    assert image.positions((4, 4)) is image.visual.positional_embedding
    moved = image.positions((2, 8))
    assert_equal(moved[0], image.visual.positional_embedding[0])
    assert (moved[1:] - image.visual.positional_embedding[1:]).abs().max() > 0.01


@pytest.mark.parametrize('size', [(33, 32), (32, 36)])
def test_image_size_that_does_not_divide(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r'image size \d+x\d+ is not a multiple .* 8x8; resize'):
        ImageTower(CLIP)(torch.zeros(1, 3, *size))


@torch.no_grad()
def test_the_parts_make_the_whole(sizes: dict[str, Any]) -> None:
    image, _ = towers(sizes, reference(sizes))
    images = torch.randn(2, 3, 32, 32)
    patches = image.patchify(images)
    assert patches.shape == (2, 16, 32)
    cls = image.class_embedding.expand(2, 1, -1)
    tokens = image.finish(torch.cat([cls, patches], dim=1) + image.positions((4, 4)))
    assert_equal(image.embed(images), tokens)
    for block in image.blocks:
        tokens = block(tokens)
    assert_equal(image.project(tokens), image(images))
    assert image.project_tokens(tokens).shape == (2, 17, image.joint_dim)


@torch.no_grad()
def test_clip_reads_the_class_token_only() -> None:
    image, _ = towers(CLIP, reference(CLIP))
    tokens = torch.randn(2, 17, 32)
    assert not image.reads_patches
    assert_equal(image.project(tokens[:, :1]), image.project(tokens))
    assert_equal(image.project_tokens(tokens)[:, 0], image.project(tokens))


@torch.no_grad()
def test_coca_reads_every_token() -> None:
    image, _ = towers(COCA, reference(COCA))
    tokens = torch.randn(2, 17, 32)
    other = tokens.clone()
    other[:, 5] = torch.randn(32)
    assert image.reads_patches
    assert (image.project(tokens) - image.project(other)).abs().max() > 1e-4
    # A token on its own is what the pooler gives when it sees that token alone.
    alone = image.project(tokens[:, 3:4])
    assert_equal(image.project_tokens(tokens)[:, 3], alone)


@torch.no_grad()
def test_coca_pool_is_open_clips(sizes: dict[str, Any]) -> None:
    theirs = reference(sizes)
    image, _ = towers(sizes, theirs)
    tokens = torch.randn(2, 17, 32)
    pooled, others = theirs.visual._pool(tokens)
    assert_equal(image.pool(tokens), torch.cat([pooled[:, None], others], dim=1))


# --- text ---


@torch.no_grad()
@pytest.mark.parametrize('length', [5, 8, 12])
def test_shorter_texts_are_the_same(length: int) -> None:
    theirs = reference(CLIP)
    _, text = towers(CLIP, theirs)
    ids = token_ids([3, 5])
    whole, cut = text(ids), text(ids[:, :length])
    assert cut.tokens.shape == (2, length, 16)
    assert_equal(cut.sentence, theirs.encode_text(ids))
    assert_equal(cut.tokens, whole.tokens[:, :length])
    assert cut.mask.sum(dim=1).tolist() == [3, 5]


@torch.no_grad()
def test_sentence_is_a_token_of_its_text() -> None:
    _, text = towers(CLIP, reference(CLIP))
    features = text(token_ids([4, 9]))
    assert_equal(features.sentence, features.tokens[[0, 1], [3, 8]])
    _, coca = towers(COCA, reference(COCA))
    features = coca(token_ids([4, 9]))
    assert features.tokens.shape == (2, 13, 16)
    assert_equal(features.sentence, features.tokens[:, -1])
    assert features.mask.sum(dim=1).tolist() == [5, 10]
    assert features.mask[:, -1].all()


def test_mask_ends_at_the_first_end_of_text() -> None:
    ids = token_ids([6, 4])
    ids[0, 2] = 0  # a word, '!' in CLIP's vocabulary
    ids[1, 4:] = 63  # padding with the end of text, as some tokenizers do
    mask = TextTower(CLIP)(ids).mask
    assert mask.dtype == torch.bool
    assert mask.tolist() == [[True] * 6 + [False] * 6, [True] * 4 + [False] * 8]


@torch.no_grad()
def test_word_with_id_0_is_a_word() -> None:
    text = TextTower(WORDS)
    ids = text.tokenize(['stop!%'])
    assert ids[0].tolist()[2:6] == [0, 260, 49407, 0]  # '!' has id 0, as padding has
    assert text(ids).mask.sum() == 5


@pytest.mark.parametrize('length', [2, 6, 12])
def test_long_captions_keep_their_end(length: int) -> None:
    text = TextTower(WORDS)
    ids = text.tokenize(['a very long story about one dog and ten cats in a house', 'dog'], length)
    assert ids.shape == (2, length)
    assert (ids.max(dim=1).values == 49407).all()
    assert ids[0, -1] == 49407
    if length > 2:
        assert ids[1].tolist()[2:] == [49407] + [0] * (length - 3)


@pytest.mark.parametrize('length', [None, 6, 12])
def test_coca_always_runs_at_its_context_length(length: int | None) -> None:
    sizes = dict(COCA, text_cfg=dict(COCA['text_cfg'], vocab_size=49408))
    text = TextTower(sizes)
    assert text.has_class_token
    ids = text.tokenize(['a dog'], length)
    assert ids.shape == (1, 12)
    with pytest.raises(ValueError, match='exactly 12 tokens'):
        text(ids[:, :6])


@pytest.mark.parametrize('length', [1, 13])
def test_length_out_of_range(length: int) -> None:
    with pytest.raises(ValueError, match=f'length={length}: a text has 2 to 12 tokens'):
        TextTower(WORDS).tokenize(['dog'], length)


def test_more_tokens_than_the_context() -> None:
    with pytest.raises(ValueError, match='at most 12 tokens'):
        TextTower(CLIP)(token_ids([5], context_length=13))


def test_vocabulary_that_is_not_clips() -> None:
    with pytest.raises(ValueError, match='vocab_size=64 is too small'):
        TextTower(CLIP).tokenize(['dog'])


# --- frozen, gradients ---


@pytest.mark.parametrize('tower', [ImageTower, TextTower])
def test_frozen(tower: type) -> None:
    model = nn.Sequential(tower(CLIP, frozen=True), nn.Linear(2, 2))
    model.train()
    assert model.training
    assert not any(m.training for m in model[0].modules())
    assert not any(p.requires_grad for p in model[0].parameters())
    inputs = torch.zeros(1, 3, 32, 32) if tower is ImageTower else token_ids([4])
    out = model[0](inputs)
    out = out if tower is ImageTower else out.sentence
    assert out.grad_fn is None  # no graph is kept


@pytest.mark.parametrize('tower', [ImageTower, TextTower])
def test_gradients_reach_every_parameter(tower: type, sizes: dict[str, Any]) -> None:
    model = tower(sizes).train()
    assert all(m.training for m in model.modules())
    out = model(torch.randn(2, 3, 32, 32)) if tower is ImageTower else model(token_ids([4, 9]))[1]
    F.normalize(out, dim=-1)[:, 0].sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert all(p.grad.abs().sum() > 0 for name, p in model.named_parameters() if 'bias' not in name)


@pytest.mark.parametrize('tower', [ImageTower, TextTower])
@pytest.mark.parametrize(('quick_gelu', 'word'), [(False, ': GELU'), (True, ': QuickGELU')])
def test_activation_is_logged(tower: type, quick_gelu: bool, word: str, capsys: Any) -> None:
    MMLogger.get_instance('tower', log_level='INFO')
    tower(dict(CLIP, quick_gelu=quick_gelu))
    out = ''.join(capsys.readouterr())
    assert word in out
    assert 'explicit sizes' in out


def test_text_sizes_need_no_image_sizes() -> None:
    text = TextTower(dict(embed_dim=16, text_cfg=TEXT))
    assert (text.width, text.joint_dim, text.context_length, text.vocab_size) == (24, 16, 12, 64)


# --- options of the projection ---


@torch.no_grad()
def test_the_mean_of_the_patches_as_an_images_feature() -> None:
    tower, images = ImageTower(CLIP, feature='patches').eval(), torch.randn(2, 3, 32, 32)
    assert tower.reads_patches
    x = tower.embed(images)
    for block in tower.blocks:
        x = block(x)
    expected = tower.visual.ln_post(x[:, 1:]).mean(1) @ tower.visual.proj
    torch.testing.assert_close(tower(images), expected)
    with pytest.raises(ValueError, match="feature='patches': the attention pooler"):
        ImageTower(COCA, feature='patches')
    with pytest.raises(ValueError, match="feature='mean' must be one of"):
        ImageTower(CLIP, feature='mean')


@torch.no_grad()
def test_a_vision_transformer_reaches_a_joint_space_by_a_layer() -> None:
    tower = MODELS.build(dict(VIT_TOWER, joint_dim=16)).eval()
    plain, images = MODELS.build(VIT_TOWER).eval(), torch.randn(2, 3, 32, 32)
    state = {k: v for k, v in tower.state_dict().items() if k != 'projection.weight'}
    plain.load_state_dict(state)
    assert (tower.joint_dim, plain.joint_dim, tower.width) == (16, 32, 32)
    torch.testing.assert_close(tower(images), plain(images) @ tower.projection.weight.T)
    sizes = Sizes(width=8, heads=1, joint=4, text_layers=1)
    for cfg, dim in ((dict(VIT_TOWER, joint_dim=16), 4), (VIT_TOWER, 8)):
        cls = MODELS.get(cfg['type'])
        assert cls.narrow_joint_dim(cfg, sizes) == dim
        assert cls.narrowed(cfg, sizes).get('joint_dim') == (4 if dim == 4 else None)
