"""Write a model's parts by ``torch.export``, and ONNX from there."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from mmengine.logging import print_log
from torch.export import Dim, ExportedProgram

from mmstan import __version__
from mmstan.apis.description import to_json
from mmstan.apis.export.check import check_part, check_program
from mmstan.apis.export.onnx_files import PART, USE, import_onnx
from mmstan.apis.export.parts import (
    PARTS,
    Part,
    PartName,
    copy_for_export,
    describe_use,
    draw_clip,
    find_obstacle,
    list_parts,
)
from mmstan.apis.package import METADATA, list_requires
from mmstan.wording import check_choice

if TYPE_CHECKING:
    from mmstan.apis.video_model import VideoModel

Format = Literal['onnx', 'torch']
SUFFIXES = dict(onnx='.onnx', torch='.pt2')
OPSETS = range(18, 24)


def export_model(
    model: VideoModel,
    path: str | os.PathLike[str],
    *,
    format: Format = 'onnx',
    parts: Iterable[PartName] = PARTS,
    dynamic: Iterable[str] = ('batch',),
    opset: int = 20,
    check: bool = True,
) -> dict[str, Path]:
    """Write the parts of a model; see :meth:`mmstan.VideoModel.export`."""
    path, names, axes = Path(path), tuple(parts), tuple(dynamic)
    _check_options(path, format, names, axes, opset)
    if format == 'onnx':
        import_onnx(path)
    if next(model.model.parameters(), None) is None:
        raise ValueError(f'{model.description.name} is an ONNX file already: copy it')
    _report_missing(model, names)
    metadata = {METADATA: _describe(model), USE: describe_use(model)}
    path.parent.mkdir(parents=True, exist_ok=True)
    written: dict[str, Path] = {}
    with copy_for_export(model.model, model.dtype) as copied:
        # A batch of 2 is followed where it may become another one: 1 would be a constant.
        clip = draw_clip(model, 2 if axes else 1)
        for part in list_parts(copied, clip, names):
            program = follow(part, dynamic=bool(axes))
            more = {**metadata, PART: part.name}
            target = written[part.name] = name_part(path, part.name)
            with _written_whole(target) as made:
                if format == 'onnx':
                    write_onnx(made, program, part, opset=opset, metadata=more)
                else:
                    torch.export.save(program, str(made), extra_files=more)
                if check:
                    compare = check_part if format == 'onnx' else check_program
                    compare(made, part, target, batches=(1, 3) if axes else (1,))
    return written


def _check_options(
    path: Path, format: Format, names: tuple[PartName, ...], axes: tuple[str, ...], opset: int
) -> None:
    check_choice('format', format, tuple(SUFFIXES))
    for name in names:
        check_choice('parts', name, PARTS)
    if not names:
        raise ValueError(f'parts=(): give some of {", ".join(PARTS)}')
    for axis in axes:
        check_choice('dynamic', axis, ('batch',))
    if path.suffix != SUFFIXES[format]:
        raise ValueError(f'{path}: the name of a {format} file ends in {SUFFIXES[format]}')
    if opset not in OPSETS:
        raise ValueError(f'opset={opset}: {OPSETS[0]} to {OPSETS[-1]} are written')


@contextmanager
def _written_whole(target: Path) -> Iterator[Path]:
    """A path to write to; what is written there, weights in other files too, is then moved."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix='.export_') as folder:
        yield Path(folder, target.name)
        for file in sorted(Path(folder).iterdir(), reverse=True):  # .onnx.data before .onnx
            os.replace(file, target.parent / file.name)


def name_part(path: Path, part: str) -> Path:
    """The file of a part: ``model.onnx`` for the video, ``model.text.onnx`` for the text.

    >>> name_part(Path('model.onnx'), 'text').name
    'model.text.onnx'
    """
    return path if part == 'video' else path.with_suffix(f'.{part}{path.suffix}')


def _report_missing(model: VideoModel, names: tuple[PartName, ...]) -> None:
    """Say which parts the model does not have; an error where they were asked for by name."""
    for name in names:
        obstacle = find_obstacle(model.model, name)
        if obstacle is None:
            continue
        message = f'{model.description.name} has no part {name!r} to export: {obstacle}'
        if set(names) != set(PARTS):
            raise ValueError(message)
        print_log(message, 'current', logging.WARNING)


def _describe(model: VideoModel) -> str:
    """The same JSON as ``config.json`` of a saved model."""
    requires = list_requires(model.description)
    source = dict(config=model.description.name)
    more: Any = dict(requires=requires) if requires else {}
    return to_json(model.description, mmstan=__version__, source=source, **more)


def follow(part: Part, *, dynamic: bool) -> ExportedProgram:
    """Follow a part by :func:`torch.export.export`, with any batch size if ``dynamic``."""
    dims = {axis: Dim(axis) for axis in part.axes}
    shapes: Any = tuple({0: dims[axis]} for axis in part.axes) if dynamic else None
    if shapes and part.name == 'scores':
        shapes = (shapes,)  # *given is one argument
    with torch.no_grad():
        program = torch.export.export(
            part.module, tuple(part.inputs.values()), dynamic_shapes=shapes
        )
    for node in program.graph.nodes:  # they name this machine's folders
        node.meta.pop('stack_trace', None)
    return program


def write_onnx(
    path: Path, program: ExportedProgram, part: Part, *, opset: int, metadata: dict[str, str]
) -> None:
    """Write an exported program as ONNX; weights above 2 GB stand in ``<path>.data``."""
    log = logging.getLogger('onnxscript')
    level = log.level
    log.setLevel(logging.ERROR)  # it warns of each constant that it does not fold
    try:
        onnx_program = torch.onnx.export(
            program,
            (),
            dynamo=True,
            opset_version=opset,
            input_names=list(part.inputs),
            output_names=part.outputs,
            verbose=False,
        )
    finally:
        log.setLevel(level)
    assert onnx_program is not None
    ir_model = onnx_program.model
    _name_axes(ir_model.graph, part.axes)
    for node in ir_model.graph.all_nodes():  # stack traces, which name this machine's folders
        node.metadata_props.clear()
    ir_model.metadata_props.update(metadata)
    ir_model.producer_name, ir_model.producer_version = 'mmstan', __version__
    onnx_program.save(str(path))


def _name_axes(graph: Any, axes: list[str]) -> None:
    """Name the dynamic axes as :class:`Part` does, in the place of ``s53``."""
    import onnx_ir as ir

    new: dict[str, str] = {}
    for value, axis in zip(graph.inputs, axes):
        first = value.shape[0]
        if isinstance(first, ir.SymbolicDim) and first.value is not None:
            new[str(first.value)] = axis
    if not new:
        return
    pattern = re.compile('|'.join(rf'\b{re.escape(name)}\b' for name in new))
    values = [*graph.inputs, *(y for node in graph.all_nodes() for y in node.outputs)]
    for value in values:
        for i, size in enumerate(value.shape or ()):
            if isinstance(size, ir.SymbolicDim) and size.value is not None:
                name = pattern.sub(lambda found: new[found[0]], str(size.value))
                value.shape[i] = ir.SymbolicDim(name)
