"""Hostile and foreign ONNX files are one line, and nothing outside of their folder is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from helpers.export_systems import make_model
from onnx import TensorProto, helper, numpy_helper

import mmstan
from mmstan.apis.description import to_json


def write_file(path: Path, metadata: dict[str, str], change: Callable[[Any], None]) -> Path:
    """A file of one operator, which looks as if mmstan had written it."""
    frames = helper.make_tensor_value_info('frames', TensorProto.UINT8, ['n', 3, 4, 32, 32])
    features = helper.make_tensor_value_info('features', TensorProto.FLOAT, None)
    weight = numpy_helper.from_array(np.ones(1, np.float32), 'weight')
    nodes = [
        helper.make_node('Cast', ['frames'], ['x'], to=TensorProto.FLOAT),
        helper.make_node('Mul', ['x', 'weight'], ['features']),
    ]
    graph = helper.make_graph(nodes, 'graph', [frames], [features], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 20)], ir_version=10)
    change(model)
    helper.set_model_props(model, metadata)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope='module')
def metadata() -> dict[str, str]:
    use = '{"format": 1, "identity": "x", "scale": 1.0}'
    config = to_json(make_model('tubes').description)
    return {'mmstan.config': config, 'mmstan.use': use, 'mmstan.part': 'video'}


def move_weight(location: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        set_location(model.graph.initializer[0], location)

    return change


def set_location(tensor: Any, location: str) -> None:
    tensor.ClearField('raw_data')
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value=location)


def hide_weight(location: str) -> Callable[[Any], None]:
    """In a constant inside of a branch."""

    def change(model: Any) -> None:
        tensor = numpy_helper.from_array(np.ones(1, np.float32))
        set_location(tensor, location)
        constant = helper.make_node('Constant', [], ['y'], value=tensor)
        out = helper.make_tensor_value_info('y', TensorProto.FLOAT, [1])
        branch = helper.make_graph([constant], 'branch', [], [out])
        node = helper.make_node('If', ['c'], ['z'], then_branch=branch, else_branch=branch)
        model.graph.node.append(node)

    return change


def leave(model: Any) -> None:
    """No change."""


@pytest.mark.parametrize(
    ('change', 'changes', 'message'),
    [
        (leave, {'mmstan.config': None}, r"lacks the metadata 'mmstan\.config'"),
        (leave, {'mmstan.use': None}, r"lacks the metadata 'mmstan\.use'"),
        (leave, {'mmstan.config': '{'}, 'is no JSON'),
        (leave, {'mmstan.config': '{"format": 7}'}, 'format=7, this mmstan reads format 2'),
        (leave, {'mmstan.config': 'x' * (17 << 20)}, 'larger than 16 MB'),
        (leave, {'mmstan.use': '['}, 'is no JSON'),
        (leave, {'mmstan.use': '{"format": 2}'}, 'format=2, this mmstan reads format 1'),
        (leave, {'mmstan.use': '{"format": 1, "identity": 3}'}, 'has scale, a number or null'),
        (leave, {'mmstan.part': 'text'}, 'is the text part of a model'),
        (move_weight('../secret.bin'), {}, r"weights in '\.\./secret\.bin', outside of its folder"),
        (move_weight('/etc/passwd'), {}, 'outside of its folder'),
        (move_weight('link.bin'), {}, 'outside of its folder'),
        (move_weight('none.bin'), {}, r'its weights none\.bin are not next to it'),
        (hide_weight('../secret.bin'), {}, 'outside of its folder'),
    ],
)
def test_refused(
    change: Callable[[Any], None],
    changes: dict[str, str | None],
    message: str,
    metadata: dict[str, str],
    tmp_path: Path,
) -> None:
    folder = tmp_path / 'inner'
    folder.mkdir()
    (tmp_path / 'secret.bin').write_bytes(bytes(4))
    (folder / 'link.bin').symlink_to(tmp_path / 'secret.bin')
    props = {key: value for key, value in {**metadata, **changes}.items() if value is not None}
    file = write_file(folder / 'model.onnx', props, change)
    with pytest.raises(ValueError, match=message) as caught:
        mmstan.load(file)
    assert '\n' not in str(caught.value) and 'model.onnx' in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('"mmstan.ReadFrames"', '"os.system"', 'os.system.*is not imported'),
        ('"mmstan.TubePatches"', '"subprocess.Popen"', 'subprocess.Popen.*is not imported'),
    ],
)
def test_types_are_names_of_parts(
    old: str, new: str, message: str, metadata: dict[str, str], tmp_path: Path
) -> None:
    config = metadata['mmstan.config'].replace(old, new)
    props = {**metadata, 'mmstan.config': config}
    with pytest.raises(ValueError, match=message):
        mmstan.load(write_file(tmp_path / 'model.onnx', props, leave))


def test_weights_in_the_folder_are_read(metadata: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / 'weights.bin').write_bytes(np.full(1, 2, np.float32).tobytes())
    file = write_file(tmp_path / 'model.onnx', metadata, move_weight('weights.bin'))
    assert mmstan.load(file).class_names


@pytest.mark.parametrize('content', [b'', b'\xff' * 64, b'PK\x03\x04', b'{}', bytes(100)])
def test_other_files_are_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / 'model.onnx').write_bytes(content)
    with pytest.raises(ValueError, match=r'model\.onnx') as caught:
        mmstan.load(tmp_path / 'model.onnx')
    assert '\n' not in str(caught.value)


def test_cut_and_changed_files_are_one_line(metadata: dict[str, str], tmp_path: Path) -> None:
    file = write_file(tmp_path / 'model.onnx', metadata, leave)
    whole = file.read_bytes()
    broken = onnx.load(file)
    broken.graph.node[1].op_type = 'RunProgram'
    inputs = onnx.load(file)
    inputs.graph.input[0].name = inputs.graph.node[0].input[0] = 'ids'
    for content in (whole[:-50], broken.SerializeToString(), inputs.SerializeToString()):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r'model\.onnx') as caught:
            mmstan.load(file)
        assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(weights='x.pth'), 'has weights of its own'),
        (dict(class_names=['a']), 'has class_names of its own'),
        (dict(device='cuda'), "device='cuda'.* runs on the CPU here"),
    ],
)
def test_options_that_a_file_has_itself(
    options: dict[str, Any], message: str, metadata: dict[str, str], tmp_path: Path
) -> None:
    file = write_file(tmp_path / 'model.onnx', metadata, leave)
    with pytest.raises(ValueError, match=message):
        mmstan.load(file, **options)
