"""Parameters and multiply-adds of a model: ``python tools/get_flops.py CONFIG``.

Of one view, from the frames to the scores, the features of class names being known already; in
retrieval, to the features that are compared. Two conventions stand side by side: with attention's
matrix products, as most papers count, and linear and convolution layers only, as the STAN papers
do. 'nominal' is every token through every layer; 'executed' is what runs, where outputs that nobody
reads are left out. Nothing is computed and no weights are needed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from command_line import one_line_errors
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import mmstan  # noqa: F401  (mends MMAction2 before anything of it is imported)
from mmstan.config import check_arguments, missing_data
from mmstan.measure import MultiplyAdds, count_multiply_adds, count_parameters
from mmstan.models.heads.class_texts import ClassTexts
from mmstan.models.towers import TextTower
from mmstan.registry import MODELS


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--frames', type=int, help="frames of a clip; the test pipeline's")
    parser.add_argument('--size', type=int, help="pixels of a side; the test pipeline's crop")
    parser.add_argument(
        '--classes', type=int, default=400, help='their number where the file of names is missing'
    )
    return parser.parse_args()


def find(node: Any, key: str) -> Any:
    """The first value of ``key`` in nested dicts and lists, or None."""
    if isinstance(node, dict) and key in node:
        return node[key]
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return next((v for v in (find(child, key) for child in children) if v is not None), None)


def size_of_view(
    cfg: Config, *, frames: int | None = None, size: int | None = None
) -> tuple[int, int]:
    """Frames and pixels of a side of one view, the test pipeline's unless they are given."""
    pipeline = cfg.get('test_pipeline') or cfg.test_dataloader.dataset.pipeline
    # MMAction2's SampleFrames says clip_len.
    frames = frames or find(pipeline, 'num_frames') or find(pipeline, 'clip_len')
    size = size or find(pipeline, 'crop_size')
    if not frames or not size:
        raise ValueError('the test pipeline does not say frames and crop size: --frames, --size')
    return frames, size


def build(cfg: Config) -> Any:
    """``cfg``'s model in eval mode, with nothing in it and what the optimiser freezes frozen."""
    model_cfg = {key: x for key, x in cfg.model.items() if key != 'data_preprocessor'}
    with torch.device('meta'):
        model = MODELS.build(model_cfg).eval()
    freeze(model, cfg.get('optim_wrapper') or {})
    return model


@contextmanager
def without_computing(model: nn.Module) -> Iterator[None]:
    """Within, a model that :func:`build` made is called, and nothing is computed."""
    # Not on the meta device, which autocast does not know; token ids stay real, they are data.
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        model.to_empty(device='cpu')
        yield


def table(cfg: Config, frames: int, size: int) -> str:
    """The figures of ``cfg``'s model for one view of ``frames`` x ``size`` x ``size``."""
    model = build(cfg)
    with without_computing(model):
        nominal, executed = count_view(model, torch.empty(1, 3, frames, size, size))
        text_side = text_lines(model)
    classes = f', {model.cls_head.num_classes} classes' if hasattr(model, 'cls_head') else ''
    whole, of_text = count_parameters(model), count_parameters(*text_parts(model))
    return '\n'.join(
        [
            f'one view: {frames} frames of {size} x {size}{classes}',
            f'{"":24}{"nominal":>12}{"executed":>12}',
            _row('GMACs', nominal.total, executed.total),
            _row('GMACs, linear + conv', nominal.linear, executed.linear),
            _parameters('video side', whole[0] - of_text[0], whole[1] - of_text[1]),
            *text_side,
        ]
    )


def freeze(model: nn.Module, optim_wrapper: dict[str, Any]) -> None:
    """What the rules of the optimiser do not train."""
    names = ('optimizer', 'constructor', 'paramwise_cfg')  # without AMP, which wants a GPU
    kept = {key: optim_wrapper[key] for key in names if key in optim_wrapper}
    if kept:
        build_optim_wrapper(model, dict(kept, type='OptimWrapper'))


def count_view(model: Any, clip: Tensor) -> tuple[MultiplyAdds, MultiplyAdds]:
    """Multiply-adds of a clip (1, 3, T, H, W): nominal, executed."""
    view = view_of(model)
    backbone, calls = model.backbone, []
    handle = backbone.register_forward_hook(lambda *_: calls.append(1))
    view(clip)  # features of class names are known from here on
    handle.remove()
    executed = count_multiply_adds(view, clip)
    if not calls or not hasattr(backbone, 'tokens'):  # every token is computed as it is
        return executed, executed

    def every_token(clip: Tensor) -> None:
        tokens = backbone.tokens(clip)
        if tokens.shape[-1] == backbone.tower.width:  # not DiST's, which have a width of their own
            backbone.tower.project(tokens.flatten(0, 1))

    every, used = count_multiply_adds(every_token, clip), count_multiply_adds(backbone, clip)
    if every.total <= used.total:
        return executed, executed
    linear = executed.linear + every.linear - used.linear
    return MultiplyAdds(linear, executed.attention + every.attention - used.attention), executed


def view_of(model: Any) -> Callable[[Tensor], Any]:
    """Clips (N, 3, T, H, W) -> scores, or the features that are compared with texts'."""
    if hasattr(model, 'encode_videos'):
        return model.encode_videos
    return lambda clip: model.extract_feat(clip[:, None], stage='head')


def text_parts(model: nn.Module) -> list[nn.Module]:
    """The text tower with what is learned beside it, where there is one."""
    return [part for part in model.modules() if isinstance(part, (ClassTexts, TextTower))]


def text_lines(model: Any) -> list[str]:
    """Parameters of the text side, and the multiply-adds of a text."""
    parts = text_parts(model)
    if not parts:
        return []
    tower = next(part for part in parts if isinstance(part, TextTower))
    with torch.device('cpu'):
        ids = tower.tokenize([''], getattr(model, 'text_length', None))
    macs = count_multiply_adds(tower, ids)
    return [
        _parameters('text side', *count_parameters(*parts)),
        f'a text of {ids.shape[1]} tokens: {macs.total / 1e9:.2f} GMACs',
    ]


def _row(name: str, nominal: int, executed: int) -> str:
    return f'{name:24}{nominal / 1e9:12.2f}{executed / 1e9:12.2f}'


def _parameters(name: str, total: int, trainable: int) -> str:
    return f'{name}: {total / 1e6:.2f} M parameters, {trainable / 1e6:.2f} M trainable'


def use_stand_ins(cfg: Config, classes: int) -> None:
    """Give the model other names where the file of class names is not here."""
    for key, path in list(missing_data(cfg, ())):
        if key.endswith('.class_names'):
            count = find(cfg.model.to_dict(), 'num_classes') or classes
            print(f'{path} is not here: {count} other names in its place')
            cfg.merge_from_dict({key: [f'class {i}' for i in range(count)]})


def main() -> None:
    """Print the table."""
    args = parse_args()
    with one_line_errors():
        cfg = Config.fromfile(args.config)
        init_default_scope(cfg.get('default_scope', 'mmaction'))
        check_arguments(cfg)
        frames, size = size_of_view(cfg, frames=args.frames, size=args.size)
        use_stand_ins(cfg, args.classes)
        print(table(cfg, frames, size))


if __name__ == '__main__':
    main()
