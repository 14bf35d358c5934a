"""Contrastive losses and gradients beside those of a naive program in float64.

The cases ``contrast_*.safetensors`` lie below the folder of the other golden cases (see
``test_parity.py``). Features are ``tanh(x @ weight)``; the sentence is the last real token. A case
is computed from the whole batch, from micro batches of 5 and of 1 pair, and in two processes.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.gloo_processes import run_ranks
from mmengine.dist import all_gather_object, get_rank, get_world_size, init_dist
from parity.test_parity import ROOT
from safetensors import safe_open
from torch import Tensor

from mmstan.models import RetrievalHead
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.micro_batches import encode_in_parts

CASES = sorted(ROOT.rglob('contrast_*.safetensors'))
LEARNED = ('text_weight', 'video_weight')
Numbers = dict[str, Tensor]


def read(path: Path) -> tuple[dict[str, str], Numbers]:
    with safe_open(path, 'pt') as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def make_head(meta: dict[str, str]) -> RetrievalHead:
    sharpness = dict(sharpness=float(meta['tau'])) if meta['kind'] == 'mug' else {}
    kind = dict(mug='mmstan.Mug', cosine='mmstan.Cosine')[meta['kind']]
    scale = dict(scale=float(meta['scale']), trainable_scale=True)
    return RetrievalHead(dict(type=kind, **sharpness), reduction=meta['reduction'], **scale)


def compute(path: Path, m: int | None) -> Numbers:
    """The outputs of a case by name: of all pairs, whatever the number of processes."""
    meta, io = read(path)
    head, rank, world = make_head(meta), get_rank(), get_world_size()
    share = len(io['x_text']) // world
    own = slice(rank * share, (rank + 1) * share)
    weights = {name: io[name].clone().requires_grad_() for name in LEARNED}

    def encode(texts: Tensor, videos: Tensor, rows: Any) -> tuple[TextFeatures, VideoFeatures]:
        tokens = torch.tanh(texts @ weights['text_weight'])
        text_mask, video_mask = (io[name][rows].bool() for name in ('text_mask', 'video_mask'))
        last = text_mask.sum(dim=1) - 1
        text = TextFeatures(tokens, tokens[torch.arange(len(tokens)), last], text_mask)
        return text, VideoFeatures(torch.tanh(videos @ weights['video_weight']), video_mask)

    rows = torch.arange(len(io['x_text']))[own]
    arguments = io['x_text'][own], io['x_video'][own], rows
    text, video = (
        encode(*arguments) if m is None else encode_in_parts(encode, *arguments, micro_batch=m)
    )
    for x in (text.tokens, text.sentence, video.frames):
        x.retain_grad()
    losses = head.loss(text, video)
    sum(losses.values()).backward()
    found = dict(
        {name: loss.detach().reshape(1) for name, loss in losses.items()},
        grad_logit_scale=head.logit_scale.grad.reshape(1),
        **{f'grad_{name}': weight.grad for name, weight in weights.items()},
    )
    # As DDP does: the mean over the processes.
    every = all_gather_object(found)
    joined = {name: sum(each[name] for each in every) / world for name in found}
    features = all_gather_object(
        (gather_token_gradient(text, m) / world, video.frames.grad / world)
    )
    joined['grad_tokens'], joined['grad_frames'] = (torch.cat(x) for x in zip(*features))
    return joined


def gather_token_gradient(text: TextFeatures, m: int | None) -> Tensor:
    """The gradient of the tokens, of which the sentence is one."""
    gradient = torch.zeros_like(text.tokens) if text.tokens.grad is None else text.tokens.grad
    if m is not None and text.sentence.grad is not None:  # joined next to the tokens
        last = text.mask.sum(dim=1) - 1
        gradient[torch.arange(len(last)), last] += text.sentence.grad
    return gradient


def assert_golden(found: Numbers, path: Path) -> None:
    _, golden = read(path)
    for name, x in found.items():
        largest = max(1.0, golden[name].abs().max().item())
        # A loss of 37 has a spacing of 4e-6 in float32, so both bounds are relative above 1.
        bound = (1e-6 if name.startswith('loss') else 1e-5) * largest
        assert x.shape == golden[name].shape
        assert (x - golden[name]).abs().max() <= bound, name


def assert_alike(ours: Numbers, theirs: Numbers) -> None:
    for name, x in ours.items():
        assert (x - theirs[name]).abs().max() <= 2e-6 * max(1.0, x.abs().max().item()), name


@pytest.mark.parametrize('path', CASES, ids=lambda path: path.stem)
def test_losses_and_gradients(path: Path) -> None:
    whole, *parts = (compute(path, m) for m in (None, 5, 1))
    assert_golden(whole, path)
    for part in parts:
        assert_golden(part, path)
        assert_alike(part, whole)


@pytest.mark.parametrize('path', CASES, ids=lambda path: path.stem)
def test_similarities(path: Path) -> None:
    meta, io = read(path)
    tokens = torch.tanh(io['x_text'] @ io['text_weight'])
    mask = io['text_mask'].bool()
    sentence = tokens[torch.arange(len(tokens)), mask.sum(dim=1) - 1]
    frames = torch.tanh(io['x_video'] @ io['video_weight'])
    video = VideoFeatures(frames, io['video_mask'].bool())
    similarity = make_head(meta)(TextFeatures(tokens, sentence, mask), video)
    assert (similarity - io['similarity']).abs().max() <= 1e-5


def compute_all(folder: Path, paths: str) -> None:
    """The part of each of two ranks."""
    init_dist('pytorch', backend='gloo')
    found = {(path, m): compute(Path(path), m) for path in json.loads(paths) for m in (None, 5, 1)}
    if get_rank() == 0:
        torch.save(found, folder / 'found.pth')


def test_two_processes(tmp_path: Path) -> None:
    even = [str(path) for path in CASES if len(read(path)[1]['x_text']) % 2 == 0]
    if not even:
        pytest.skip(f'no golden case in {ROOT} can be divided in two')
    run_ranks(f'{__file__}:compute_all', tmp_path, json.dumps(even))
    found = torch.load(tmp_path / 'found.pth')
    for (path, m), numbers in found.items():
        assert_golden(numbers, Path(path))
        assert_alike(numbers, compute(Path(path), None) if m is None else found[path, None])
