from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.devices import on_devices
from mmaction.structures import ActionDataSample
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from torch import nn

from mmstan.evaluation import (
    MatrixBlocks,
    RetrievalMetric,
    dual_softmax,
    gallery,
    qb_norm,
    summarise,
    text_to_video_ranks,
    video_to_text_ranks,
)
from mmstan.models.features import TextFeatures, VideoFeatures

WIDTH = 6


class Model(nn.Module):
    """Scores by a product with weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, WIDTH))
        self.head = SimpleNamespace(scale=20.0)

    def similarity(self, text: TextFeatures, video: VideoFeatures) -> torch.Tensor:
        assert text.sentence.dtype == video.frames.dtype == torch.float32
        frames = (video.frames * video.mask[..., None]).mean(1)
        scores = (text.sentence * self.weight) @ frames.T
        return scores.detach() / WIDTH


def sample(index: int, captions: int = 1, **metainfo) -> ActionDataSample:
    """What a model predicts for one video."""
    generator = torch.Generator().manual_seed(index)
    video = torch.randn(2, WIDTH, generator=generator)
    sentences = video.mean(0) + torch.randn(captions, WIDTH, generator=generator)
    made = ActionDataSample(metainfo=dict(video_id=f'video{index}', **metainfo))
    made.captions = [f'caption {i} of {index}' for i in range(captions)]
    made.text_features = TextFeatures(
        sentences[:, None], sentences, torch.ones(captions, 1, dtype=torch.bool)
    )
    made.video_features = VideoFeatures(video, torch.tensor([True, index % 3 > 0]))
    return made


def evaluate(samples: list[ActionDataSample], metric: RetrievalMetric) -> dict:
    metric.use_model(Model())
    evaluator = Evaluator(metric)
    for i in range(0, len(samples), 3):
        evaluator.process(samples[i : i + 3])
    return evaluator.evaluate(len(samples))


def features(samples: list[ActionDataSample]) -> tuple[TextFeatures, VideoFeatures, torch.Tensor]:
    texts, videos = zip(*((s.text_features, s.video_features) for s in samples))
    owners = torch.tensor([i for i, t in enumerate(texts) for _ in t.sentence])
    return (
        TextFeatures(*map(torch.cat, zip(*texts))),
        VideoFeatures(*(torch.stack([v[i] for v in videos]) for i in range(2))),
        owners,
    )


def test_one_caption_a_video():
    samples = [sample(i) for i in range(10)]
    found = evaluate(samples, RetrievalMetric())
    text, video, owners = features(samples)
    blocks = MatrixBlocks(Model().similarity(text, video))
    t2v = summarise(text_to_video_ranks(blocks, owners))
    v2t = summarise(video_to_text_ranks(blocks, owners).caption)
    recalls = [ranks[f'R{k}'] for ranks in (t2v, v2t) for k in (1, 5, 10)]
    assert 0 < t2v['R1'] < 100 and t2v != v2t
    assert found == {
        **{f'retrieval/t2v/{key}': value for key, value in t2v.items()},
        **{f'retrieval/v2t/{key}': value for key, value in v2t.items()},
        'retrieval/rsum': pytest.approx(sum(recalls)),
    }


def test_several_captions_a_video():
    samples = [sample(i, captions=1 + i % 3) for i in range(10)]
    found = evaluate(samples, RetrievalMetric(topk=(1, 2), ties='pessimistic', prefix='val'))
    text, video, owners = features(samples)
    blocks = MatrixBlocks(Model().similarity(text, video))
    t2v = text_to_video_ranks(blocks, owners)
    group, caption = video_to_text_ranks(blocks, owners)
    assert len(t2v) == len(owners) == 19 and not group.equal(caption)
    expected = {
        f'val/{name}/{key}': value
        for name, ranks in dict(t2v=t2v, v2t_group=group, v2t_caption=caption).items()
        for key, value in summarise(ranks, (1, 2)).items()
    }
    sums = [summarise(ranks)[f'R{k}'] for ranks in (t2v, group) for k in (1, 5, 10)]
    assert found == expected | {'val/rsum': pytest.approx(sum(sums))}


def test_normalised_scores_have_keys_of_their_own(tmp_path: Path):
    MMLogger.get_instance('metric', log_file=tmp_path / 'log')
    samples = [sample(i, captions=1 + i % 2) for i in range(9)]
    bank_text, bank_video, _ = features([sample(i) for i in range(100, 120)])
    text, video, owners = features(samples)
    plain = evaluate(samples, RetrievalMetric())
    assert 'transductive' not in (tmp_path / 'log').read_text()
    metric = RetrievalMetric(dsl=True, qb_norm=dict(beta=5.0, k=2))
    metric.use_bank(bank_text, bank_video)
    found = evaluate(samples, metric)

    similarity = Model().similarity
    blocks = MatrixBlocks(similarity(text, video))
    dsl, qb = (
        dict(
            t2v=text_to_video_ranks(t2v, owners),
            v2t_group=video_to_text_ranks(v2t, owners).group,
            v2t_caption=video_to_text_ranks(v2t, owners).caption,
        )
        for t2v, v2t in (
            [dual_softmax(blocks, way, logit_scale=20) for way in ('t2v', 'v2t')],
            [
                qb_norm(blocks, MatrixBlocks(similarity(*bank)), way, beta=5.0, k=2)
                for way, bank in (('t2v', (bank_text, video)), ('v2t', (text, bank_video)))
            ],
        )
    )
    expected = {
        f'retrieval/{name}/{direction}/{key}': value
        for name, ways in dict(dsl=dsl, qb_norm=qb).items()
        for direction, ranks in ways.items()
        for key, value in summarise(ranks).items()
    }
    rsums = {key: found.pop(key) for key in list(found) if key.endswith('rsum')}
    assert list(rsums) == ['retrieval/rsum', 'retrieval/dsl/rsum', 'retrieval/qb_norm/rsum']
    assert rsums['retrieval/rsum'] == plain.pop('retrieval/rsum')
    assert found == plain | expected
    for name in ('dsl', 'qb_norm'):  # else the comparison above says nothing
        assert {found[f'retrieval/{name}/{way}/MnR'] for way in ('t2v', 'v2t_caption')}.isdisjoint(
            {found[f'retrieval/{way}/MnR'] for way in ('t2v', 'v2t_caption')}
        )
    log = (tmp_path / 'log').read_text()
    assert 'dsl is transductive: the score of a query depends on all 13 captions and 9' in log
    assert 'qb_norm is transductive: the score of a query depends on a bank of 20 captions' in log


def test_logit_scale_of_dual_softmax():
    samples = [sample(i) for i in range(9)]
    of_model, given, other = (
        evaluate(samples, RetrievalMetric(dsl=True, logit_scale=scale)) for scale in (None, 20, 1)
    )
    assert of_model == given != other


def test_repeated_samples_count_once():
    samples = [sample(i, captions=2) for i in range(5)]
    assert evaluate([*samples, *samples[:3]], RetrievalMetric()) == evaluate(
        samples, RetrievalMetric()
    )


def test_one_video_must_be_one_sample():
    twice = sample(1, captions=2)
    twice.captions = ['another', 'caption']
    with pytest.raises(ValueError, match=r"video_id='video1' has two samples with different capt"):
        evaluate([sample(1, captions=2), twice], RetrievalMetric())


def test_samples_without_an_id_are_all_different():
    samples = [sample(i) for i in range(5)]
    named = evaluate(samples, RetrievalMetric())
    for made in samples:
        del made.video_id
        del made.captions  # MMAction2's data sets give token ids
    assert evaluate(samples, RetrievalMetric()) == named


def test_broken_videos_are_left_out_with_their_captions(tmp_path: Path):
    MMLogger.get_instance('metric', log_file=tmp_path / 'log')
    samples = [sample(i, captions=2) for i in range(5)]
    broken = [
        sample(7, captions=2, broken=[('b.mp4', 'is empty')]),
        sample(8, broken=[('a.mp4', 'is missing')]),
    ]
    metric = RetrievalMetric()
    metric.missing = 3
    found = evaluate([*samples[:2], *broken, *samples[2:]], metric)
    assert found.pop('retrieval/left_out') == 2
    assert found.pop('retrieval/missing') == 3
    assert found == evaluate(samples, RetrievalMetric())
    log = (tmp_path / 'log').read_text()
    assert (
        'leave out 2 of 7 videos with their captions, which are broken: a.mp4: is missing; '
        'b.mp4: is empty' in log
    )


def test_nothing_readable():
    with pytest.raises(
        ValueError, match=r"the ranks have no video: all 1 are broken, among them \[\('a\.mp4', "
    ):
        evaluate([sample(0, broken=[('a.mp4', 'is empty')])], RetrievalMetric())


def test_more_than_one_evaluation():
    metric = RetrievalMetric()
    first = evaluate([sample(i) for i in range(5)], metric)
    assert evaluate([sample(i) for i in range(5, 12)], metric) != first
    assert evaluate([sample(i) for i in range(5)], metric) == first


def test_without_a_model():
    with pytest.raises(ValueError, match=r"needs val_cfg=dict\(type='mmstan.RetrievalValLoop'\)"):
        Evaluator(RetrievalMetric()).process([sample(0)])


def test_a_model_without_similarity():
    with pytest.raises(ValueError, match=r'model=Linear has no similarity\(text, video\)'):
        RetrievalMetric().use_model(nn.Linear(1, 1))


def test_without_a_bank():
    with pytest.raises(ValueError, match=r"qb_norm=\{'k': 1\} needs a bank"):
        evaluate([sample(0)], RetrievalMetric(qb_norm=dict(k=1)))


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (dict(ties='random'), r"ties='random' must be one of 'average', 'optimistic', 'pess"),
        (dict(qb_norm=dict(temperature=1)), r"qb_norm=\{'temperature': 1\} may have beta and k"),
    ],
)
def test_wrong_arguments(wrong: dict, message: str):
    with pytest.raises(ValueError, match=message):
        RetrievalMetric(**wrong)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_features_are_scored_in_float32(dtype: torch.dtype):
    samples = [sample(i) for i in range(10)]
    rounded = [sample(i) for i in range(10)]
    for made, other in zip(samples, rounded):
        for name in ('text_features', 'video_features'):
            whole = getattr(made, name)
            halves = [x.to(dtype) if x is not None and x.is_floating_point() else x for x in whole]
            setattr(made, name, type(whole)(*halves))
            singles = [x.float() if x is not None and x.is_floating_point() else x for x in halves]
            setattr(other, name, type(whole)(*singles))
    assert evaluate(samples, RetrievalMetric()) == evaluate(rounded, RetrievalMetric())


@on_devices
def test_on_the_models_device(device: str):
    metric = RetrievalMetric(dsl=True, qb_norm=dict())
    samples = [sample(i, captions=1 + i % 2) for i in range(9)]
    text, video, _ = features([sample(i) for i in range(100, 120)])
    metric.use_bank(text, video)
    on_cpu = evaluate(samples, metric)
    metric.use_model(Model().to(device))
    Evaluator(metric).process(samples)
    assert metric.evaluate(9) == pytest.approx(on_cpu)


@pytest.mark.parametrize('part', ['frame', 'padding', 'sentence', 'token', 'padded token'])
def test_features_that_are_nan_are_counted_and_named(part: str):
    samples = [sample(i) for i in range(4)]
    bad = samples[3]  # of two frames the first is real
    text, video = bad.text_features, bad.video_features
    bad.text_features = text._replace(
        tokens=text.tokens.repeat(1, 2, 1), mask=torch.tensor([[True, False]])
    )
    place = {
        'frame': video.frames[0],
        'padding': video.frames[1],
        'sentence': bad.text_features.sentence,
        'token': bad.text_features.tokens[:, 0],
        'padded token': bad.text_features.tokens[:, 1],
    }[part]
    place.fill_(torch.nan)
    results = [gallery.keep_fields(each.to_dict()) for each in samples]
    assert ['nan' in result for result in results] == [False] * 3 + ['padd' not in part]
    if 'padd' not in part:
        with pytest.raises(ValueError, match=r'^the features of 1 of 4 videos are NaN .*: video3'):
            gallery.drop_broken(results, what='the ranks')


def test_a_test_of_nan_is_refused():
    samples = [sample(i) for i in range(4)]
    for each in samples:
        each.video_features.frames.fill_(torch.nan)
    with pytest.raises(ValueError, match=r'4 of 4 videos .*video0, .*the weights may be NaN'):
        evaluate(samples, RetrievalMetric())


def test_scores_that_are_nan_though_features_are_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Model, 'similarity', lambda *_: torch.full((3, 3), torch.nan))
    with pytest.raises(ValueError, match=r'9 scores of the captions 0 to 2 are NaN, though'):
        evaluate([sample(i) for i in range(3)], RetrievalMetric())
