"""One view of a video: its size, a model without weights to call on it, its multiply-adds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmstan.benchmark.measure import MultiplyAdds, count_multiply_adds
from mmstan.config.checks import find_missing_data
from mmstan.config.walk import find
from mmstan.models.heads.class_texts import ClassTexts
from mmstan.models.towers import TextTower
from mmstan.registry import MODELS


def find_view_size(
    cfg: Config, *, frames: int | None = None, size: int | None = None
) -> tuple[int, int]:
    """Frames, and side in pixels, of one view; by default the numbers that the test loader has."""
    # The loader's pipeline is the one that runs: a config may test on another than `test_pipeline`.
    loader = cfg.get('test_dataloader')
    pipeline = cfg.get('test_pipeline') if loader is None else loader.dataset.get('pipeline')
    # MMAction2's SampleFrames calls the number of frames clip_len.
    frames = frames or find(pipeline, 'num_frames') or find(pipeline, 'clip_len')
    # Detection is tested on whole frames; the toy's have the size of its tower.
    size = size or find(pipeline, 'crop_size') or find(pipeline, 'short')
    if 'roi_head' in cfg.model:
        size = size or find(cfg.model.backbone, 'image_size')
    if not frames or not size:
        raise ValueError(
            f'{cfg.filename}: the test pipeline does not say frames and crop size: --frames, --size'
        )
    return frames, size


def build(cfg: Config) -> Any:
    """The model of ``cfg`` on the meta device, in eval mode, frozen as by the optimiser's rules."""
    model_cfg = {key: x for key, x in cfg.model.items() if key != 'data_preprocessor'}
    with torch.device('meta'):
        model = MODELS.build(model_cfg).eval()
    freeze(model, cfg.get('optim_wrapper') or {})
    return model


@contextmanager
def without_computing(model: nn.Module) -> Iterator[None]:
    """Within, calls of a model from :func:`build` give shapes only; nothing is computed."""
    # Fake CPU tensors and not meta tensors, which autocast does not know. Token ids stay real.
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        model.to_empty(device='cpu')
        yield


def freeze(model: nn.Module, optim_wrapper: dict[str, Any]) -> None:
    """Freeze the parameters that the optimiser's rules freeze."""
    names = ('optimizer', 'constructor', 'paramwise_cfg')  # without AMP, which wants a GPU
    kept = {key: optim_wrapper[key] for key in names if key in optim_wrapper}
    if kept:
        build_optim_wrapper(model, dict(kept, type='OptimWrapper'))


def count_view(model: Any, clip: Tensor) -> tuple[MultiplyAdds, MultiplyAdds]:
    """Multiply-adds of a clip (1, 3, T, H, W): (nominal, executed).

    Nominal: every token passes through every layer. Executed: rows that no later layer reads are
    skipped.
    """
    view = make_view(model)
    backbone, calls = model.backbone, []
    handle = backbone.register_forward_hook(lambda *_: calls.append(1))
    view(clip)  # the first call computes the text features of the classes, which are not counted
    handle.remove()
    executed = count_multiply_adds(view, clip)
    if not calls or not hasattr(backbone, 'tokens'):  # such a model skips no rows
        return executed, executed

    # nominal = executed - the backbone's own count + its count with all tokens
    every = count_multiply_adds(backbone.run_every_token, clip)
    used = count_multiply_adds(backbone, clip)
    if every.total <= used.total:
        return executed, executed
    linear = executed.linear + every.linear - used.linear
    return MultiplyAdds(linear, executed.attention + every.attention - used.attention), executed


def make_view(model: Any) -> Callable[[Tensor], Any]:
    """The model's function from clips (N, 3, T, H, W) to scores, or to video features.

    A detector scores four boxes of each clip.
    """
    if hasattr(model, 'roi_head'):
        return lambda clip: model.roi_head(
            model.extract_map(clip), make_boxes(clip), clip.shape[-1]
        )
    if hasattr(model, 'encode_videos'):
        return model.encode_videos
    return lambda clip: model.extract_feat(clip[:, None], stage='head')


def make_boxes(clip: Tensor) -> list[Tensor]:
    """Boxes of each of N clips (N, 3, T, H, W) in pixels, (4, 4) each: the frames' quarters."""
    height, width = clip.shape[-2:]
    corners = torch.tensor(
        [[0, 0, 1, 1], [1, 0, 2, 1], [0, 1, 1, 2], [1, 1, 2, 2]], dtype=torch.float32
    )
    boxes = corners * torch.tensor([width, height, width, height]) / 2
    return [boxes.to(clip.device) for _ in range(len(clip))]


def find_text_parts(model: nn.Module) -> list[nn.Module]:
    """The text tower and the learned class texts of a model; empty if it has no texts."""
    return [part for part in model.modules() if isinstance(part, (ClassTexts, TextTower))]


def use_stand_ins(cfg: Config, classes: int) -> None:
    """Put ``class 0``, ``class 1`` ... into the config if the file of class names is missing."""
    for key, path in list(find_missing_data(cfg, ())):
        if key.endswith('.class_names'):
            count = find(cfg.model.to_dict(), 'num_classes') or classes
            print(f'{path} is not here: {count} other names in its place')
            cfg.merge_from_dict({key: [f'class {i}' for i in range(count)]})
