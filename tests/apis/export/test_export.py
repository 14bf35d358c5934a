"""Exported parts of every system give the model's numbers, with any batch size."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import pytest
import torch
import torch.nn.functional as F
from helpers.export_systems import RECOGNIZERS, RETRIEVAL, SYSTEMS, make_model
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch import Tensor

from mmstan.apis.export.check import resize_part
from mmstan.apis.export.modules import list_tensors
from mmstan.apis.export.onnx_files import make_session, run_session
from mmstan.apis.export.parts import (
    PARTS,
    Part,
    copy_for_export,
    draw_clip,
    find_obstacle,
    list_parts,
    run_part,
)
from mmstan.apis.export.write import follow, write_onnx
from mmstan.models.backbones import VideoBackbone
from mmstan.registry import MODELS

BATCHES = (1, 2, 5)
TEXTS = ('xclip', 'mug_stan')  # their text and scores parts too


class Exported(NamedTuple):
    part: Part
    followed: Callable[..., Any]
    file: Path
    inputs: list[dict[str, Tensor]]
    wanted: list[list[Tensor]]


@pytest.fixture(scope='module', params=SYSTEMS)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Exported]]:
    """The parts of a system, each followed once and written once."""
    model = make_model(request.param)
    names = PARTS if request.param in TEXTS else ('video',)
    folder, made = tmp_path_factory.mktemp(request.param), []
    with copy_for_export(model.model, torch.float32) as inner:
        for part in list_parts(inner, draw_clip(model, 2), (*names, 'scores')):
            if part.name not in names:
                continue
            program = follow(part, dynamic=True)
            file = folder / f'{part.name}.onnx'
            write_onnx(file, program, part, opset=20, metadata={})
            sized = [resize_part(part, batch) for batch in BATCHES]
            wanted = [run_part(x) for x in sized]
            inputs = [x.inputs for x in sized]
            made.append(Exported(part, program.module(), file, inputs, wanted))
    yield made


def test_every_backbone_is_exported() -> None:
    MODELS.import_from_location()
    kinds = {RECOGNIZERS[name][0]['type'] for name in RECOGNIZERS}
    kinds |= {RETRIEVAL[name][0]['type'] for name in RETRIEVAL}
    names = {name for name, kind in MODELS.module_dict.items() if issubclass(kind, VideoBackbone)}
    assert {kind.removeprefix('mmstan.') for kind in kinds} == names


def test_float32(exported: list[Exported]) -> None:
    """Followed with two samples, right for one, two and five: torch.export and ONNX Runtime."""
    for part, followed, file, inputs, wanted in exported:
        session = make_session(str(file))
        for given, right in zip(inputs, wanted):
            with torch.no_grad():
                of_torch = list_tensors(followed(*given.values()))
            of_onnx = run_session(session, given)
            for x, y, z in zip(of_torch, of_onnx, right):
                size = max(1.0, z.abs().max().item())
                assert len(of_torch) == len(of_onnx) == len(part.outputs)
                assert (x.float() - z.float()).abs().max() <= 1e-4 * size
                assert (y.float() - z.float()).abs().max() <= 1e-4 * size


def check_cosines(file: Path, part: Exported) -> None:
    session = make_session(str(file))
    for given, right in zip(part.inputs, part.wanted):
        for name, x, y in zip(part.part.outputs, run_session(session, given), right):
            cosine = F.cosine_similarity(x.float().flatten(1), y.float().flatten(1), dim=1).min()
            assert cosine >= 0.999, (part.part.name, name, cosine)


def test_float16_files(exported: list[Exported], tmp_path: Path) -> None:
    for part in exported:
        content = convert_float_to_float16(onnx.load(part.file), keep_io_types=True)
        onnx.save(content, tmp_path / 'half.onnx')
        check_cosines(tmp_path / 'half.onnx', part)


def test_int8_files(exported: list[Exported], tmp_path: Path) -> None:
    for part in exported:
        quantize_dynamic(part.file, tmp_path / 'int8.onnx', weight_type=QuantType.QInt8)
        check_cosines(tmp_path / 'int8.onnx', part)
        linear = part.part.name != 'scores' or part.part.module.head is not None
        smaller = (tmp_path / 'int8.onnx').stat().st_size < part.file.stat().st_size
        assert smaller or not linear


def test_no_folder_of_this_machine_is_in_a_file(exported: list[Exported]) -> None:
    for part in exported:
        content = part.file.read_bytes()
        assert b'site-packages' not in content
        assert str(Path(__file__).parents[3]).encode() not in content


@pytest.mark.parametrize('system', SYSTEMS)
def test_float16_models(system: str) -> None:
    """The copy in half precision that is exported for ``dtype=torch.float16``."""
    model = make_model(system)
    names = tuple(name for name in PARTS if not find_obstacle(model.model, name))
    clip, found = draw_clip(model, 2), {}
    for dtype in (torch.float32, torch.float16):
        with copy_for_export(model.model, dtype) as inner:
            found[dtype] = [
                (part.name, run_part(resize_part(part, 5)))
                for part in list_parts(inner, clip, names)
            ]
    for (name, full), (_, half) in zip(*found.values()):
        for x, y in zip(full, half):
            assert y.dtype in (torch.float32, torch.bool)
            cosine = F.cosine_similarity(x.float().flatten(1), y.float().flatten(1), dim=1).min()
            assert cosine >= 0.999, name
