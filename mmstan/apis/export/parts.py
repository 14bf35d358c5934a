"""The parts of a model that can be exported, each with inputs to follow it with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mmstan.apis.encoding import is_retrieval
from mmstan.apis.export.modules import (
    RecognitionScores,
    RecognitionVideo,
    RetrievalScores,
    RetrievalVideo,
    Text,
    list_tensors,
    mask_frames,
    reads_tokens,
    replace_texts,
)
from mmstan.apis.inputs import prepare_video
from mmstan.models.heads import NamedClassesHead, VerbNounHead
from mmstan.models.heads.verb_noun_head import TASKS
from mmstan.models.interactions import Interaction

if TYPE_CHECKING:
    from mmstan.apis.video_model import VideoModel

PartName = Literal['video', 'text', 'scores']
PARTS: tuple[PartName, ...] = ('video', 'text', 'scores')


class Part(NamedTuple):
    """A module with names and examples of its inputs."""

    name: PartName
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]
    axes: list[str]
    """Name of the first axis of each input, ``videos`` or ``texts``."""


class Clip(NamedTuple):
    """Frames (N, 3, T, H, W) as the model's pipeline gives them, and their mask (N, T)."""

    frames: Tensor
    mask: Tensor


def find_obstacle(model: Any, part: PartName) -> str | None:
    """Why a model has no such part; None if it has."""
    if is_retrieval(model) or part == 'video':
        return None
    head = model.cls_head
    if not isinstance(head, NamedClassesHead):
        if part == 'scores':  # in the file of the video part
            return None
        return f'a {type(head).__name__} has no text tower of one list of classes'
    if head.texts.context_vectors:
        return 'its words are learned (context_vectors), so that texts are no plain token ids'
    return None


@contextmanager
def copy_for_export(model: Any, dtype: torch.dtype) -> Iterator[Any]:
    """Within, the model on the CPU in evaluation mode; in half precision a copy of it.

    Interactions stay in float32, since their cosines are multiplied by 100.
    """
    model.eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, NamedClassesHead):
                module.texts()  # kept in float32, by the copy too
    half = dtype is torch.float16
    if half or next(model.parameters()).device.type != 'cpu':
        model = deepcopy(model).cpu()
    if half:
        model.half()
        for module in model.modules():
            if isinstance(module, Interaction):
                module.float()
    yield model


@torch.no_grad()
def list_parts(model: Any, clip: Clip, names: tuple[PartName, ...]) -> Iterator[Part]:
    """The parts of a model, one after another; a head is changed while its part is in use."""
    retrieval = is_retrieval(model)
    features = _find_features(model, clip)
    if 'video' in names:
        if retrieval:
            yield _describe_retrieval_video(model, clip)
        else:
            with replace_texts(model, constant=True):
                yield _describe_recognition_video(model, clip, scores='scores' in names)
    texts = [name for name in names if name != 'video' and not find_obstacle(model, name)]
    if not texts or not (retrieval or isinstance(model.cls_head, NamedClassesHead)):
        return
    module = Text(model).eval()
    text = dict(ids=_make_ids(model)[: clip.frames.shape[0]])
    outputs = dict(zip(('tokens', 'sentence', 'text_mask'), module(**text)))
    if 'text' in texts:
        yield Part('text', module, text, list(outputs), ['texts'])
    # The scores of a recognizer's own classes are in the file of the videos.
    if 'scores' in texts and (retrieval or 'text' in texts):
        if not reads_tokens(model):
            outputs = dict(sentence=outputs['sentence'])
        yield from _describe_scores(model, outputs, features)


def _describe_scores(
    model: Any, texts: dict[str, Tensor], features: dict[str, Tensor]
) -> Iterator[Part]:
    inputs = {**texts, **features}
    axes = ['texts' if name in texts else 'videos' for name in inputs]
    if is_retrieval(model):
        scores: nn.Module = RetrievalScores(model, list(inputs)).eval()
        yield Part('scores', scores, inputs, ['similarity'], axes)
        return
    with replace_texts(model, constant=False) as given:
        scores = RecognitionScores(model.cls_head, given[0], list(inputs)).eval()
        yield Part('scores', scores, inputs, ['similarity'], axes)


def _find_features(model: Any, clip: Clip) -> dict[str, Tensor]:
    """The tensors of the video side that scores are computed from, by name."""
    if not is_retrieval(model):
        found = RecognitionVideo(model, scores=False).eval()(clip.frames)
        return dict(zip(_name_features(len(found)), found))
    found = RetrievalVideo(model).eval()(clip.frames, clip.mask)
    frames, *tokens = found
    named = dict(features=frames, frame_mask=mask_frames(frames, clip.mask))
    return {**named, 'video_tokens': tokens[0]} if tokens else named


def _name_features(count: int) -> list[str]:
    """``features``, then ``features_2`` and so on, as X-CLIP's visual context."""
    return ['features', *(f'features_{i}' for i in range(2, count + 1))]


def _describe_recognition_video(model: Any, clip: Clip, *, scores: bool) -> Part:
    module = RecognitionVideo(model, scores=scores).eval()
    x = RecognitionVideo(model, scores=False).eval()(clip.frames)
    outputs = _name_features(len(x))
    if scores:
        pair = isinstance(model.cls_head, VerbNounHead)
        outputs += [f'scores_{task}' for task in TASKS] if pair else ['scores']
    return Part('video', module, dict(frames=clip.frames), outputs, ['videos'])


def _describe_retrieval_video(model: Any, clip: Clip) -> Part:
    inputs = dict(frames=clip.frames)
    if model.neck is not None:
        inputs['frame_mask'] = clip.mask
    outputs = ['features']
    if model.head.interaction.reads_video_tokens:
        outputs.append('video_tokens')
    return Part('video', RetrievalVideo(model).eval(), inputs, outputs, ['videos'] * len(inputs))


def _make_ids(model: Any) -> Tensor:
    """Token ids (2, J) of two texts of other lengths, at the length that the text part takes."""
    retrieval = is_retrieval(model)
    tower = model.text_tower if retrieval else model.cls_head.texts.tower
    length = model.text_length if retrieval else None
    return tower.tokenize(['a video', 'a video of a dog'], length)


def draw_clip(model: VideoModel, batch: int) -> Clip:
    """A batch of noise in the shape and type in which the model's pipeline gives videos.

    Raises:
        ValueError: The pipeline gives no clips (3, T, H, W).
    """
    noise = np.random.default_rng(batch).integers(0, 256, (64, 240, 320, 3), dtype=np.uint8)
    packed = model.reader.pipeline(prepare_video(noise))
    frames = packed['inputs']
    if frames.ndim == 4 and frames.shape[1] == 3:  # FormatShape('NCHW'), (T, 3, H, W)
        frames = frames.transpose(0, 1)[None]
    if frames.ndim != 5 or frames.shape[1] != 3:
        raise ValueError(
            f'{model.description.name}: its pipeline gives {tuple(frames.shape)}, and clips '
            "(views, 3, T, H, W) of FormatShape('NCTHW') are exported"
        )
    t = frames.shape[2]
    mask = packed['data_samples'].get('frame_mask')
    mask = torch.ones(t, dtype=torch.bool) if mask is None else torch.as_tensor(mask)
    generator = torch.Generator().manual_seed(batch)
    shape = (batch, *frames.shape[1:])
    clips = torch.randint(0, 256, shape, generator=generator).to(frames.dtype)
    return Clip(clips, mask.repeat(batch, 1))


def describe_use(model: VideoModel) -> str:
    """As JSON: what use of the files needs besides the config, and which files belong together."""
    inner = model.model
    head = inner.head if is_retrieval(inner) else inner.cls_head
    scale = getattr(head, 'scale', None)
    return json.dumps(
        dict(
            format=1,
            identity=model.identity,
            scale=None if scale is None else float(scale),
            text_tokens=bool(getattr(getattr(head, 'texts', None), 'tokens', False)),
        )
    )


def run_part(part: Part) -> list[Tensor]:
    """Outputs of a part on its inputs."""
    with torch.no_grad():
        return list_tensors(part.module(*part.inputs.values()))
