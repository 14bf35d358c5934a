"""Open ONNX files: what they hold is checked before ONNX Runtime sees them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmstan.apis.description import ModelDescription
from mmstan.apis.package import MAX_CONFIG_BYTES, METADATA, parse_description
from mmstan.wording import show, write_on_one_line

PART, USE = 'mmstan.part', 'mmstan.use'
_WRITER = 'VideoModel.export writes it'


def import_onnx(path: Path) -> None:
    """Raise an error if the packages that write and run ONNX are missing.

    Raises:
        ImportError: One of them is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'{path}: ONNX needs the package {error.name}: pip install "mmstan[export]"'
        ) from error


class OnnxFile(NamedTuple):
    """A part that :meth:`mmstan.VideoModel.export` wrote."""

    path: str
    part: str
    config: str
    """JSON of the model, see :mod:`mmstan.apis.description`."""
    use: dict[str, Any]
    """Scale, identity and more, see :func:`~mmstan.apis.export.parts.describe_use`."""

    def describe(self, allow: tuple[str, ...] = ()) -> ModelDescription:
        """The description in the file, checked as a saved model's."""
        return parse_description(self.config, self.path, allow=allow)


def read_onnx(path: str) -> OnnxFile:
    """Read the metadata of an ONNX file, and check where its weights are.

    Raises:
        ValueError: The file is damaged, was not written by mmstan, or names weights outside of its
            folder.
        ImportError: The packages of the extra ``export`` are missing.
    """
    import_onnx(Path(path))
    import onnx
    from google.protobuf.message import DecodeError

    try:
        content = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError, MemoryError) as error:
        reason = write_on_one_line(error)
        raise ValueError(f'{path} is damaged, or no ONNX file: {reason}') from error
    _check_external(content, path)
    found = {x.key: x.value for x in content.metadata_props}
    missing = next((key for key in (METADATA, PART, USE) if key not in found), None)
    if missing is not None:
        raise ValueError(f"{path} lacks the metadata '{missing}': {_WRITER}")
    if len(found[METADATA]) > MAX_CONFIG_BYTES:
        raise ValueError(f'{path}: its config is larger than {MAX_CONFIG_BYTES >> 20} MB')
    return OnnxFile(path, found[PART], found[METADATA], _parse_use(found[USE], path))


def _parse_use(text: str, path: str) -> dict[str, Any]:
    try:
        use = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: '{USE}' is no JSON; {_WRITER}") from error
    if not isinstance(use, dict) or use.get('format') != 1:
        found = use.get('format') if isinstance(use, dict) else None
        raise ValueError(f'{path}: format={show(found)}, this mmstan reads format 1')
    scale, identity = use.get('scale'), use.get('identity')
    if not isinstance(identity, str) or not isinstance(scale, (int, float, type(None))):
        raise ValueError(f"{path}: '{USE}' has scale, a number or null, and identity; {_WRITER}")
    return use


def _check_external(content: Any, path: str) -> None:
    """Raise an error if a tensor stands in a file that is not next to the model."""
    folder = Path(path).resolve().parent
    for tensor in _list_tensors(content.graph):
        for entry in tensor.external_data:
            if entry.key != 'location':
                continue
            target = folder / entry.value
            inside = target.resolve().parent == folder and not os.path.isabs(entry.value)
            if not inside:
                raise ValueError(
                    f'{path}: weights in {show(entry.value)}, outside of its folder, are not read'
                )
            if not target.is_file():
                raise ValueError(f'{path}: its weights {entry.value} are not next to it')
    if content.functions and any(
        tensor.external_data for f in content.functions for tensor in _list_node_tensors(f.node)
    ):
        raise ValueError(f'{path}: weights of a function in another file are not read')


def _list_tensors(graph: Any) -> Iterator[Any]:
    """All tensors of a graph and of the graphs in its nodes."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _list_node_tensors(graph.node)


def _list_node_tensors(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for graph in (attribute.g, *attribute.graphs):
                yield from _list_tensors(graph)


def make_session(path: str) -> Any:
    """A session of ONNX Runtime on the CPU, with as many threads as PyTorch has.

    Raises:
        ValueError: ONNX Runtime does not read the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    except Exception as error:  # its own classes have no common one
        reason = write_on_one_line(error)
        raise ValueError(f'{path} cannot be run by ONNX Runtime: {reason}') from error


def check_signature(session: Any, path: str, inputs: set[str], outputs: set[str]) -> None:
    """Raise an error if a part has other inputs than are known, or lacks an output.

    Raises:
        ValueError: A name is missing or unknown.
    """
    has = {x.name for x in session.get_inputs()}
    gives = {x.name for x in session.get_outputs()}
    if not has <= inputs or not outputs <= gives:
        raise ValueError(
            f'{path}: inputs {sorted(has)} and outputs {sorted(gives)}, expected {sorted(inputs)} '
            f'and {sorted(outputs)}; {_WRITER}'
        )


def run_session(session: Any, inputs: Mapping[str, Tensor]) -> list[Tensor]:
    """Outputs of a session; of the inputs it gets the ones that it has.

    Raises:
        ValueError: An input has another shape or type than the file was exported for.
    """
    feed = {x.name: inputs[x.name].detach().cpu().numpy() for x in session.get_inputs()}
    try:
        return [torch.from_numpy(x) for x in session.run(None, feed)]
    except Exception as error:  # its own classes have no common one
        reason = write_on_one_line(error, 300)
        shapes = {name: tuple(x.shape) for name, x in feed.items()}
        raise ValueError(f'the ONNX file does not take {shapes}: {reason}') from error
