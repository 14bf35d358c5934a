"""DiST's frozen tower: few frames, no graph, no gradient, its own precision."""

import weakref

import pytest
import torch
import torch.nn.functional as F
from helpers.dist_models import FROZEN, clip_for, make
from torch import Tensor

from mmstan.methods.dist import DiST


@pytest.fixture(params=[None, 'bfloat16'])
def dist(request: pytest.FixtureRequest) -> DiST:
    return make(tower_dtype=request.param).train()


def block_outputs(dist: DiST) -> list[Tensor]:
    """What the tower's blocks give to the branch, filled in by every forward pass."""
    outputs: list[Tensor] = []
    for block in dist.tower.blocks:
        block.register_forward_hook(lambda *args: outputs.append(args[2]))
    return outputs


def test_no_graph_and_no_gradient(dist: DiST) -> None:
    outputs, video = block_outputs(dist), clip_for(dist).requires_grad_()
    dist(video).square().sum().backward()
    assert video.grad is not None  # through the stem
    assert len(outputs) == 4
    assert not any(x.requires_grad or x.grad_fn is not None for x in outputs)
    assert not any(x.is_inference() for x in outputs)
    assert all(p.grad is None and not p.requires_grad for p in dist.tower.parameters())
    assert not any(module.training for module in dist.tower.modules())
    assert dist.branch.training


def test_the_graph_holds_block_outputs_and_nothing_else_of_the_tower() -> None:
    """Of four blocks four tensors are kept, one a linear layer that reads it."""
    dist = make().train()
    outputs, video = block_outputs(dist), clip_for(dist)
    inside: list[Tensor] = []
    for block in dist.tower.blocks:
        for part in (block.ln_1, block.ln_2):
            part.register_forward_hook(lambda *args: inside.append(args[2]))
    kept: set[int] = set()

    def pack(x: Tensor) -> Tensor:
        kept.add(x.untyped_storage().data_ptr())
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        feature = dist(video)
    assert all(x.untyped_storage().data_ptr() in kept for x in outputs)
    assert len(inside) == 8
    assert not any(x.untyped_storage().data_ptr() in kept for x in inside)
    assert not any(p.untyped_storage().data_ptr() in kept for p in dist.tower.parameters())
    assert feature.requires_grad


@pytest.mark.parametrize('grad', [False, True])
def test_block_outputs_die_when_they_are_read(grad: bool) -> None:
    """Without gradients none stays; with them none of a bfloat16 tower, whose copies do."""
    dist = make(tower_dtype='bfloat16' if grad else None)
    alive: list[int] = []
    outputs: list[weakref.ref[Tensor]] = []

    def count(*args: object) -> None:
        alive.append(sum(x() is not None for x in outputs))
        outputs.append(weakref.ref(args[2]))

    for block in dist.tower.blocks:
        block.register_forward_hook(count)
    with torch.set_grad_enabled(grad):
        dist(clip_for(dist))
    assert alive == [0, 1, 1, 1]  # a block's input, until it is done


@pytest.mark.parametrize('gamma', [1, 2, 4, 8])
def test_only_the_sparse_frames_go_through_the_tower(
    gamma: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dist = make(gamma=gamma)
    video, patchify = clip_for(dist), dist.tower.patchify
    seen: list[Tensor] = []

    def spy(images: Tensor) -> Tensor:
        seen.append(images)
        return patchify(images)

    monkeypatch.setattr(dist.tower, 'patchify', spy)
    dist(video)
    assert [len(images) for images in seen] == [2 * 3]
    sparse = [video[n, :, gamma * t] for n in range(2) for t in range(3)]
    assert torch.equal(seen[0], torch.stack(sparse))


def test_the_tower_alone_runs_in_bfloat16() -> None:
    full, half = make(), make(tower_dtype='bfloat16')
    half.load_state_dict(full.state_dict())
    outputs, video = block_outputs(half), clip_for(full)
    inside: list[Tensor] = []
    for module in half.branch.modules():
        module.register_forward_hook(lambda *args: inside.append(args[2]))
    feature = half(video)
    assert all(x.dtype == torch.bfloat16 for x in outputs)
    tensors = [x for x in inside if isinstance(x, Tensor)]
    assert tensors and all(x.dtype == torch.float32 for x in tensors)
    assert all(p.dtype == torch.float32 for p in half.parameters())
    assert F.cosine_similarity(feature, full(video), dim=-1).min() > 0.999
    assert not torch.equal(feature, full(video))
    feature.sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in half.branch.parameters() if p.requires_grad)


def test_weights_are_loaded_by_init_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tower's alone: the branch starts at random, as released."""
    dist = DiST(FROZEN, num_frames=3, width=32, temporal_width=8)
    before = {name: x.clone() for name, x in dist.branch.state_dict().items()}
    called: list[bool] = []
    monkeypatch.setattr(dist.tower, 'init_weights', lambda: called.append(True))
    dist.init_weights()
    assert called == [True]
    assert all(torch.equal(before[name], x) for name, x in dist.branch.state_dict().items())
