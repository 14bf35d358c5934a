from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.retrieval_models import build, head
from helpers.tiny_models import COCA, WORDS
from mmaction.structures import ActionDataSample
from torch import Tensor

from mmstan.models import RetrievalHead, VideoTextModel
from mmstan.models.features import TextFeatures, VideoFeatures

COCA_WORDS = dict(COCA, text_cfg=dict(COCA['text_cfg'], vocab_size=49408))
INTERACTIONS = [
    dict(type='mmstan.Cosine'),
    dict(type='mmstan.Mug', sharpness=5.0),
    dict(type='mmstan.Mug', video='tokens'),
    dict(type='mmstan.WeightedTokenWise', dim=16),
]


def batch(
    captions: Sequence[Sequence[str]], masks: Sequence[Sequence[int] | None] = (), frames: int = 3
) -> dict[str, Any]:
    """What a data loader gives."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, 3, frames, 32, 32)
    clips = [torch.randint(256, shape, dtype=torch.uint8, generator=generator) for _ in captions]
    samples = []
    for texts, mask in zip(captions, masks or [None] * len(captions)):
        sample = ActionDataSample()
        sample.set_field(list(texts), 'captions')
        if mask is not None:
            sample.set_field(torch.tensor(mask, dtype=torch.bool), 'frame_mask')
        samples.append(sample)
    return dict(inputs=clips, data_samples=samples)


PAIRS = [['a cat sleeps'], ['two dogs run in the park, one behind the other'], ['rain']]


def run(model: VideoTextModel, data: dict[str, Any], mode: str) -> Any:
    return model(**model.data_preprocessor(data, mode == 'loss'), mode=mode)


# --- training ---


@pytest.mark.parametrize('interaction', INTERACTIONS, ids=str)
@pytest.mark.parametrize('model', [WORDS, COCA_WORDS], ids=['clip', 'coca'])
@pytest.mark.parametrize('stan', [False, True])
def test_every_parameter_learns(
    interaction: dict[str, Any], model: dict[str, Any], stan: bool
) -> None:
    built = build(model, stan=stan, head=head(interaction, trainable_scale=True, scale=7.0))
    losses = run(built, batch(PAIRS), 'loss')
    assert losses.keys() == {'loss_t2v', 'loss_v2t'}
    sum(losses.values()).backward()
    without = {name for name, p in built.named_parameters() if p.grad is None}
    if model is COCA_WORDS and built.head.interaction.reads_video_tokens:
        assert without and all('attn_pool' in name for name in without)  # tokens pass it by
    else:
        assert not without
    assert built.head.logit_scale.grad.abs() > 0


@pytest.mark.parametrize('reduction', ['sum', 'mean'])
def test_loss_is_cross_entropy_both_ways(reduction: str) -> None:
    model = build(head=head(dict(type='mmstan.Cosine'), scale=7.0, reduction=reduction))
    losses = run(model, batch(PAIRS), 'loss')
    text, video = run(model, batch(PAIRS), 'tensor')
    logits = 7 * model.similarity(text, video)
    weight = dict(sum=1.0, mean=0.5)[reduction]
    target = torch.arange(3)
    torch.testing.assert_close(losses['loss_t2v'], weight * F.cross_entropy(logits, target))
    torch.testing.assert_close(losses['loss_v2t'], weight * F.cross_entropy(logits.T, target))


def test_scale_is_bounded() -> None:
    bounded = RetrievalHead(
        dict(type='mmstan.Cosine'), scale=50.0, trainable_scale=True, max_scale=60.0
    )
    torch.nn.init.constant_(bounded.logit_scale, 9.0)
    video = VideoFeatures(torch.randn(2, 3, 4), torch.ones(2, 3, dtype=torch.bool))
    tokens = torch.randn(2, 1, 4)
    text = TextFeatures(tokens, tokens[:, 0], torch.ones(2, 1, dtype=torch.bool))
    bounded.loss(text, video)
    assert bounded.scale == pytest.approx(60.0)


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (dict(scale=0.0), 'scale=0.0'),
        (dict(scale=101.0, trainable_scale=True, max_scale=100.0), 'scale=101.0'),
        (dict(max_scale=100.0, scale=9.0), 'max_scale=100.0'),
        (dict(reduction='max'), "reduction='max'"),
    ],
)
def test_head_refuses(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RetrievalHead(dict(type='mmstan.Cosine'), **arguments)


# --- testing ---


@pytest.mark.parametrize('interaction', INTERACTIONS, ids=str)
def test_videos_with_several_captions(interaction: dict[str, Any]) -> None:
    model = build(head=head(interaction)).eval()
    captions = [['a cat', 'a cat sleeps'], ['rain'], ['one', 'two', 'three']]
    data = batch(captions, masks=[None, [1, 1, 0], None])
    text, video = run(model, data, 'tensor')
    samples = model.test_step(data)
    for sample, texts in zip(samples, captions):
        assert len(sample.text_features.sentence) == len(texts)
        assert sample.video_features.frames.shape == (3, 16)
    assert samples[1].video_features.mask.tolist() == [True, True, False]
    joined = TextFeatures(*(torch.cat(x) for x in zip(*(s.text_features for s in samples))))
    fields = list(zip(*(s.video_features for s in samples)))
    stacked = VideoFeatures(*(None if x[0] is None else torch.stack(x) for x in fields))
    similarity = model.similarity(joined, stacked)
    assert similarity.shape == (6, 3) and not similarity.requires_grad
    torch.testing.assert_close(similarity, model.similarity(text, video))


def test_padded_frames_do_not_count() -> None:
    """Two real frames and one of padding score as the two frames alone."""
    model = build(head=head(dict(type='mmstan.Mug', sharpness=5.0))).eval()
    padded = batch(PAIRS, masks=[[1, 1, 0]] * 3)
    short = batch(PAIRS, frames=3)
    short['inputs'] = [clip[:, :, :2] for clip in padded['inputs']]
    similarities = [model.similarity(*run(model, data, 'tensor')) for data in (padded, short)]
    torch.testing.assert_close(*similarities)


def test_features_for_mmactions_metric() -> None:
    """The cosine of what it reads is the model's own score with mean pooling."""
    model = build(head=head(dict(type='mmstan.Cosine', frames='raw'))).eval()
    data = batch(PAIRS)
    expected = model.similarity(*run(model, data, 'tensor'))
    features = [sample.features for sample in model.test_step(data)]
    text = F.normalize(torch.stack([f.text_feature for f in features]), dim=-1)
    video = F.normalize(torch.stack([f.video_feature for f in features]), dim=-1)
    torch.testing.assert_close(text @ video.T, expected)


def test_kept_samples_hold_their_own_features_only() -> None:
    samples = build().eval().test_step(batch(PAIRS))
    for x in (*samples[0].text_features, *samples[0].video_features[:2]):
        assert x.untyped_storage().nbytes() == x.nbytes
        assert x.device.type == 'cpu' and x.dtype in (torch.float32, torch.bool)


def test_neck_makes_one_feature_of_a_video() -> None:
    pooled = build(neck=dict(type='mmstan.MeanPool'), head=head(dict(type='mmstan.Cosine')))
    plain = build(head=head(dict(type='mmstan.Cosine', frames='raw')))
    plain.load_state_dict(pooled.state_dict())
    data = batch(PAIRS)
    both = [model.eval().similarity(*run(model, data, 'tensor')) for model in (pooled, plain)]
    torch.testing.assert_close(*both)


# --- what comes in ---


def test_token_ids_and_frames_side_by_side() -> None:
    """MMAction2's own retrieval pipelines: FormatShape('NCHW') and tokens in the inputs."""
    model = build().eval()
    data = model.data_preprocessor(batch(PAIRS), False)
    expected = model(**data, mode='loss')
    clips: Tensor = data['inputs']
    ids = model.text_tower.tokenize([texts[0] for texts in PAIRS], 8)
    inputs = dict(imgs=clips[:, 0].transpose(1, 2), text=ids)
    found = model(inputs, data['data_samples'], mode='loss')
    torch.testing.assert_close(found, expected)


def test_text_length() -> None:
    long = ['a very long story of many words that says the same ' * 3]
    short, whole = build(text_length=5), build(text_length=None)
    assert short.encode_texts(long).tokens.shape[1] == 5
    assert whole.encode_texts(long).tokens.shape[1] == 12  # the context


@pytest.mark.parametrize('shape', [(2, 2, 3, 3, 32, 32), (2, 3, 4, 32, 32), (2, 3, 32, 32)])
def test_other_clips_are_refused(shape: tuple[int, ...]) -> None:
    model = build()
    with pytest.raises(ValueError, match='one clip and one crop'):
        model(torch.zeros(shape), batch(PAIRS[:2])['data_samples'], mode='loss')


@pytest.mark.parametrize('captions', [[['a'], []], [['a']]])
def test_videos_without_captions_are_refused(captions: list[list[str]]) -> None:
    samples = batch(captions)['data_samples']
    with pytest.raises(ValueError, match='algorithm_keys'):
        build()(torch.zeros(2, 1, 3, 3, 32, 32), samples, mode='loss')


def test_several_captions_in_training_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs='expand'"):
        run(build(), batch([['a', 'b'], ['c']]), 'loss')


def test_other_modes_are_refused() -> None:
    with pytest.raises(ValueError, match="mode='test'"):
        run(build(), batch(PAIRS), 'test')


def test_towers_of_two_models_are_refused() -> None:
    other = dict(WORDS, embed_dim=24)
    with pytest.raises(ValueError, match=r'backbone\.out_dim=16'):
        build(text_tower=dict(type='mmstan.TextTower', model=other))


def test_tokens_behind_a_neck_are_refused() -> None:
    tokens = head(dict(type='mmstan.Mug', video='tokens'))
    with pytest.raises(ValueError, match='leaves no patch tokens'):
        build(neck=dict(type='mmstan.MeanPool'), head=tokens)


def test_a_second_value_of_the_backbone_is_refused() -> None:
    model = build(
        backbone=dict(type='mmstan.XCLIP', tower=dict(type='mmstan.ImageTower', model=WORDS)),
        neck=dict(type='mmstan.MultiFrameIntegration', width=16, num_frames=3, heads=2),
        head=head(dict(type='mmstan.Cosine')),
    )
    with pytest.raises(ValueError, match=r'VideoTextModel reads .* set context=False'):
        model.encode_videos(torch.zeros(1, 3, 3, 32, 32))
