"""What stands around the class names: templates drawn at random, context that is learned."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.text_heads import NAMES, OTHERS, Calls, build, expected, samples
from helpers.tiny_models import COCA, WORDS, shaken
from mmaction.registry import MODELS
from torch import Tensor

from mmstan.models import TextHead

TEMPLATES = ('{}', 'a video of {}', 'a person is {}')


def single(head: TextHead, x: Tensor) -> Tensor:
    """Scores by each template alone, one class at a time: (templates, N, K)."""
    tower, video = head.texts.tower, F.normalize(x, dim=-1)
    of_template = []
    for template in head.texts.templates:
        texts = [tower(tower.tokenize([template.format(name)])).sentence for name in NAMES]
        of_template.append(head.logit_scale * video @ F.normalize(torch.cat(texts), dim=-1).T)
    return torch.stack(of_template)


# --- templates drawn at random ---


@torch.no_grad()
@pytest.mark.parametrize('frozen', [True, False])
def test_each_step_takes_one_template(frozen: bool) -> None:
    head, x = build(frozen, templates=TEMPLATES, sample_template=True).train(), torch.randn(4, 16)
    wanted = single(head, x)
    drawn = []
    for _ in range(30):
        difference = (head(x) - wanted).abs().amax(dim=(1, 2))
        assert difference.min() < 1e-3
        drawn.append(int(difference.argmin()))
    assert set(drawn) == {0, 1, 2}
    assert drawn != sorted(drawn)


@torch.no_grad()
@pytest.mark.parametrize('frozen', [True, False])
def test_scores_are_averaged_at_test(frozen: bool) -> None:
    head, x = build(frozen, templates=TEMPLATES, sample_template=True).eval(), torch.randn(4, 16)
    mean = single(head, x).mean(dim=0)
    for _ in range(3):
        torch.testing.assert_close(head(x), mean, rtol=1e-5, atol=1e-4)
    ensemble = build(templates=TEMPLATES).eval()
    ensemble.load_state_dict(head.state_dict())
    assert (ensemble(x) - mean).abs().max() > 1e-3  # whose mean feature is normalised again


@torch.no_grad()
def test_a_frozen_tower_reads_each_template_once() -> None:
    head = build(templates=TEMPLATES, sample_template=True).train()
    calls = Calls(head)
    for _ in range(30):
        head(torch.randn(2, 16))
    assert calls.texts == [len(NAMES)] * 3
    head.class_names = OTHERS
    assert head(torch.randn(2, 16)).shape == (2, 5)
    assert calls.texts[3:] == [len(OTHERS)]


def test_an_unfrozen_tower_reads_the_drawn_template_only() -> None:
    head = build(False, templates=TEMPLATES, sample_template=True).train()
    calls = Calls(head)
    head(torch.randn(2, 16))[:, 0].sum().backward()
    assert calls.texts == [len(NAMES)]
    assert head.texts.tower.text.text_projection.grad is not None


def test_draws_follow_the_seed() -> None:
    head, x = build(templates=TEMPLATES, sample_template=True).train(), torch.randn(2, 16)

    def scores() -> Tensor:
        torch.manual_seed(3)
        return torch.stack([head(x) for _ in range(8)])

    torch.testing.assert_close(scores(), scores())


# --- learned context ---


@torch.no_grad()
@pytest.mark.parametrize('template', ['{}', '{}.'])
@pytest.mark.parametrize('sizes', [WORDS, dict(COCA, text_cfg=dict(COCA['text_cfg']))])
def test_context_of_words_is_a_template(sizes: dict[str, Any], template: str) -> None:
    sizes = dict(sizes, text_cfg=dict(sizes['text_cfg'], vocab_size=49408))
    head = build(model=sizes, context_vectors=3, templates=(template,)).eval()
    tower, x = head.texts.tower, torch.randn(4, 16)
    words = tower.tokenize(['a video of'])[:, 1:4]
    head.texts.context_embedding.copy_(tower.text.token_embedding(words)[0])
    plain = build(model=sizes, templates=(f'a video of {template}',)).eval()
    plain.texts.tower.load_state_dict(tower.state_dict())
    torch.testing.assert_close(head(x), plain(x), rtol=1e-5, atol=1e-4)
    head.class_names = OTHERS
    torch.testing.assert_close(head(x), expected(plain, x, OTHERS), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize('frozen', [True, False])
def test_context_learns_also_through_a_frozen_tower(frozen: bool) -> None:
    head, x = build(frozen, context_vectors=4).train(), torch.randn(4, 16)
    optimizer = torch.optim.SGD([head.texts.context_embedding], lr=0.1)
    before = head.loss(x, samples([0, 1, 2, 0]))['loss_cls']
    before.backward()
    assert (head.texts.context_embedding.grad != 0).all()
    learned = {name for name, p in head.texts.tower.named_parameters() if p.grad is not None}
    assert (not learned) == frozen
    optimizer.step()
    assert head.loss(x, samples([0, 1, 2, 0]))['loss_cls'] < before


@torch.no_grad()
def test_texts_with_context_are_kept_in_evaluation() -> None:
    head, x = build(context_vectors=4).eval(), torch.randn(2, 16)
    before = head(x)
    shaken(head.texts)
    torch.testing.assert_close(head(x), before)
    head.load_state_dict(head.state_dict())
    assert (head(x) - before).abs().max() > 1e-3
    head.train()
    before = head(x)
    head.texts.context_embedding += torch.randn(4, 8)
    assert (head(x) - before).abs().max() > 1e-3


@torch.no_grad()
def test_other_texts_are_kept_until_weights_change() -> None:
    head, x = build().eval(), torch.randn(2, 16)

    def score(texts: list[str]) -> Tensor:
        with head.swap_names(texts):
            return head(x)

    before = score(['a dog', 'a cat'])
    shaken(head.texts)
    torch.testing.assert_close(score(['a dog', 'a cat']), before)
    assert score(['a dog']).shape == (2, 1)  # other texts take their place
    assert (score(['a dog', 'a cat']) - before).abs().max() > 1e-3
    shaken(head.texts)
    before = score(['a dog', 'a cat'])
    head.load_state_dict(head.state_dict())
    assert (score(['a dog', 'a cat']) - before).abs().max() > 1e-3


def test_state_dict_holds_the_context() -> None:
    head = build(context_vectors=4)
    assert head.state_dict()['texts.context_embedding'].shape == (4, 8)
    assert 'texts.context_embedding' not in build().state_dict()


@torch.no_grad()
def test_long_names_keep_their_end() -> None:
    """The context pushes words out of the 12 tokens, never the end of the text."""
    head = build(context_vectors=9, class_names=['one', 'one two three four'])
    assert torch.equal(head.texts._ids.argmax(dim=1), torch.tensor([11, 11]))


# --- what does not go together ---


@pytest.mark.parametrize(
    ('arguments', 'problem'),
    [
        (dict(context_vectors=10), r'context_vectors=10: 0 to 9, since a text has 12 tokens'),
        (dict(context_vectors=-1), r'context_vectors=-1: 0 to 9'),
        (
            dict(context_vectors=4, templates=TEMPLATES),
            r"templates=\['{}', .*: context_vectors=4 are learned in their place; give one",
        ),
        (dict(sample_template=True), r"templates=\['{}'\]: sample_template=True draws one of"),
        (
            dict(sample_template=True, templates=TEMPLATES, interaction=dict(type='mmstan.Cosine')),
            r'sample_template=True averages scores, but interaction=.* leave one of the two out',
        ),
    ],
)
def test_what_does_not_go_together(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as error:
        build(**arguments)
    assert '\n' not in str(error.value)


# --- an interaction of names and frames (Mug-STAN Eq. 20) ---

MUG = dict(type='mmstan.Mug', sharpness=20.0)
INTERACTIONS = [
    MUG,
    dict(type='mmstan.Mug', text='sentence'),
    dict(type='mmstan.Cosine', frames='raw'),
]


@torch.no_grad()
@pytest.mark.parametrize('interaction', INTERACTIONS)
@pytest.mark.parametrize('frozen', [True, False])
def test_interaction_written_out(interaction: dict[str, Any], frozen: bool) -> None:
    from mmstan.models.features import TextFeatures, VideoFeatures

    head, frames = (
        build(frozen, interaction=interaction, logit_scale=7.0).eval(),
        torch.randn(4, 6, 16),
    )
    scores = head(frames)
    assert scores.shape == (4, 3) and scores.dtype == torch.float32
    tower, module = head.texts.tower, MODELS.build(interaction)
    for n, clip in enumerate(frames):
        for k, name in enumerate(NAMES):
            text: TextFeatures = tower(tower.tokenize([name]))
            video = VideoFeatures(clip[None], torch.ones(1, 6, dtype=torch.bool))
            torch.testing.assert_close(
                scores[n, k], 7 * module(text, video)[0, 0], rtol=1e-4, atol=1e-4
            )


@torch.no_grad()
def test_mean_of_frames_is_an_interaction() -> None:
    head = build(interaction=dict(type='mmstan.Cosine', frames='raw'), templates=TEMPLATES).eval()
    frames = torch.randn(4, 6, 16)
    wanted = expected(head, frames.mean(dim=1), NAMES)
    torch.testing.assert_close(head(frames), wanted, rtol=1e-5, atol=1e-4)


def test_interaction_takes_frames() -> None:
    with pytest.raises(ValueError, match=r'\(N, T, 16\), got \(2, 16\)'):
        build(interaction=MUG)(torch.zeros(2, 16))
    with pytest.raises(ValueError, match=r'\(N, T, 16\), got \(2, 6, 24\)'):
        build(interaction=MUG)(torch.zeros(2, 6, 24))


def test_interactions_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match='tokens of several sentences cannot be averaged'):
        build(interaction=MUG, templates=TEMPLATES)
    with pytest.raises(ValueError, match='recognition has frames, but no patches'):
        build(interaction=dict(type='mmstan.Mug', video='tokens'))


@torch.no_grad()
def test_texts_of_an_interaction_are_kept() -> None:
    head = build(interaction=MUG).eval()
    calls = Calls(head)
    for _ in range(3):
        head(torch.randn(2, 6, 16))
    assert calls.new() == 1
    head.class_names = OTHERS
    assert head(torch.randn(2, 6, 16)).shape == (2, 5)
    assert calls.new() == 1


@pytest.mark.parametrize('frozen', [True, False])
def test_gradients_of_an_interaction(frozen: bool) -> None:
    head = build(frozen, interaction=MUG).train()
    frames = torch.randn(4, 6, 16, requires_grad=True)
    head.loss(frames, samples([0, 1, 2, 0]))['loss_cls'].backward()
    assert frames.grad is not None and (frames.grad != 0).any(dim=-1).all()
    idle = [name for name, p in head.named_parameters() if p.grad is None or not p.grad.any()]
    assert bool(idle) == frozen


@torch.no_grad()
@pytest.mark.parametrize('at_once', [None, 2])
def test_recognizer_with_an_interaction_tests_many_views(at_once: int | None) -> None:
    from helpers.text_heads import batch_of, recognizer

    model = recognizer(test_cfg=dict(max_testing_views=at_once)).eval()
    model.neck = None
    del model.neck  # frames go straight to the head
    model.cls_head = build(interaction=MUG).eval()
    data = model.data_preprocessor(batch_of(1, 3))
    prediction = model(**data, mode='predict')[0]
    views = [model.cls_head(model.backbone(clip[None])) for clip in data['inputs'][0]]
    mean = torch.cat(views).softmax(dim=-1).mean(dim=0)
    torch.testing.assert_close(prediction.pred_score, mean)
