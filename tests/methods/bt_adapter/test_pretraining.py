"""BT-Adapter's losses: on the visible patches, of the branch alone, beside a frozen tower."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.tiny_models import TOWER, WORDS, shaken
from mmaction.structures import ActionDataSample
from torch import Tensor

from mmstan.methods.bt_adapter import BTAdapterModel
from mmstan.registry import MODELS

WIDE = dict(WORDS, embed_dim=16)
TEXT = dict(type='mmstan.TextTower', model=WIDE)
HEAD = dict(type='mmstan.RetrievalHead', interaction=dict(type='mmstan.Cosine'))
BACKBONE = dict(
    type='mmstan.STAN',
    tower=dict(TOWER, frozen=True),
    levels=(2, 3),
    class_token='own',
    gates=True,
    drop_path=0.0,
)


def make(**options: Any) -> BTAdapterModel:
    cfg = dict(backbone=BACKBONE, text_tower=TEXT, head=HEAD, text_length=8, **options)
    model = MODELS.build({'type': 'mmstan.BTAdapterModel', **cfg})
    shaken(model.backbone.tower)
    return model


def batch(n: int = 2) -> tuple[Tensor, list[ActionDataSample]]:
    samples = []
    for i in range(n):
        sample = ActionDataSample()
        sample.captions = [f'a shape {i}']
        samples.append(sample)
    return torch.randn(n, 1, 3, 3, 32, 32), samples


def test_the_losses_are_their_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(hidden=0.75)
    clips, samples = batch()
    places = torch.tensor([1, 6, 7, 15])
    monkeypatch.setattr(model, '_choose_visible', lambda clip: places)
    losses = model(clips, samples, mode='loss')
    assert losses.keys() == {'loss_t2v', 'loss_v2t', 'loss_distance', 'loss_branch'}
    with torch.no_grad():
        tower, branch = model.backbone.parts(clips[:, 0], visible=places)
        assert tower.shape[2] == 17 and branch.shape[2] == 5
        ours = model.branch_projection(branch[:, :, 1:])
        patches = tower[:, :, [2, 7, 8, 16]]
        visual = model.backbone.tower.visual
        theirs = visual.ln_post(patches) @ visual.proj
        # The squared distance of the two on the unit sphere.
        distance = (F.normalize(ours, dim=-1) - F.normalize(theirs, dim=-1)).square().sum(-1)
        torch.testing.assert_close(losses['loss_distance'], 0.1 * distance.mean())
        text = F.normalize(model.encode_texts([s.captions[0] for s in samples]).sentence, dim=-1)
        logits = 100 * text @ F.normalize(ours.mean((1, 2)), dim=-1).T
        right = torch.arange(2)
        alone = F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)
        torch.testing.assert_close(losses['loss_branch'], 0.1 * alone)
        # The usual loss is of the frames' class tokens, mixed by the output gate.
        cls = (tower[:, :, 0] + branch[:, :, 0]) / 2
        frames = F.normalize(visual.ln_post(cls) @ visual.proj, dim=-1).mean(1)
        logits = 100 * text @ F.normalize(frames, dim=-1).T
        torch.testing.assert_close(losses['loss_t2v'], F.cross_entropy(logits, right))


def test_the_branch_does_not_read_hidden_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, (clips, _) = make().backbone.eval(), batch(1)
    visible, run_tower = torch.tensor([0, 5]), backbone._run_tower

    def change(images: Tensor, only_cls: bool) -> dict[int, Tensor]:
        outputs = run_tower(images, only_cls)
        hidden = [row for row in range(1, 17) if row - 1 not in visible]
        return {k: x.index_fill(1, torch.tensor(hidden), 7.0) for k, x in outputs.items()}

    with torch.no_grad():
        seen = backbone.parts(clips[:, 0], visible=visible)[1]
        every = backbone.parts(clips[:, 0], visible=torch.arange(16))[1]
        whole = backbone.parts(clips[:, 0])[1]
        monkeypatch.setattr(backbone, '_run_tower', change)
        changed = backbone.parts(clips[:, 0], visible=visible)[1]
        assert not torch.allclose(backbone.parts(clips[:, 0])[1], whole)
    assert seen.shape == (1, 3, 3, 32)
    assert torch.equal(changed, seen)
    torch.testing.assert_close(every, whole)


def test_gradients_reach_branch_gates_and_text_but_not_the_tower() -> None:
    model = make().train()
    with torch.no_grad():  # or no gradient passes the cross-frame modules
        for layer in model.backbone.branches[0].layers:
            layer.cross_frame.temporal_fc.weight.normal_(std=0.1)
    clips, samples = batch()
    sum(model(clips, samples, mode='loss').values()).backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert {name for name in without if not name.startswith('backbone.tower.')} <= {
        'text_tower.text.token_embedding.weight'
    }
    assert all(name in without for name, _ in model.named_parameters() if 'backbone.tower' in name)


def test_a_share_of_the_patches_is_seen_and_elsewhere_all() -> None:
    model, (clips, samples) = make(hidden=0.7), batch()
    visible = model._choose_visible(clips[:, 0])
    assert len(visible) == 5  # of 16
    assert torch.equal(visible, visible.sort().values)
    found = model.eval()(clips, samples, mode='predict')
    features = torch.stack([sample.video_features.frames for sample in found])
    with torch.no_grad():
        torch.testing.assert_close(features, model.backbone(clips[:, 0]))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(micro_batch=2), 'micro_batch=2: the losses of BTAdapterModel read patches'),
        (dict(hidden=1.0), r'hidden=1\.0: a share of the patches'),
        (dict(backbone=dict(BACKBONE, tower=TOWER)), r'set frozen=True of backbone\.tower'),
        (dict(backbone=dict(BACKBONE, own_positions=True)), 'own_positions=False'),
        (dict(backbone=dict(BACKBONE, cross_frame=None)), 'mmstan.TemporalAttention'),
        (
            dict(backbone=dict(type='mmstan.FrameEncoder', tower=dict(TOWER, frozen=True))),
            r'takes mmstan\.STAN, not FrameEncoder',
        ),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    cfg = dict(type='mmstan.BTAdapterModel', backbone=BACKBONE, text_tower=TEXT, head=HEAD)
    with pytest.raises(ValueError, match=message):
        MODELS.build({**cfg, **options})
