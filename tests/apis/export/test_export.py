"""Exported parts of every system give the model's numbers, with any batch size."""

from pathlib import Path

import onnx
import pytest
import torch
import torch.nn.functional as F
from apis.export.conftest import Exported, Written
from helpers.export_systems import RECOGNIZERS, RETRIEVAL, SYSTEMS, make_model
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch import Tensor

from mmstan.apis.export.check import resize_part
from mmstan.apis.export.modules import list_tensors
from mmstan.apis.export.onnx_files import make_session, run_session
from mmstan.apis.export.parts import PARTS, copy_for_export, draw_clip, list_parts, run_part
from mmstan.models.backbones import VideoBackbone
from mmstan.registry import MODELS


def test_every_backbone_is_exported() -> None:
    MODELS.import_from_location()
    kinds = {system[0]['type'] for system in (*RECOGNIZERS.values(), *RETRIEVAL.values())}
    names = {name for name, kind in MODELS.module_dict.items() if issubclass(kind, VideoBackbone)}
    assert {kind.removeprefix('mmstan.') for kind in kinds} == names


def measure_error(x: Tensor, right: Tensor) -> float:
    """Largest difference, of large outputs relative to the largest."""
    assert x.shape == right.shape and x.dtype == right.dtype
    x, right = x.float(), right.float()
    return ((x - right).abs().max() / right.abs().max().clamp(min=1)).item()


def test_float32(exported: Exported) -> None:
    """Followed with two samples, right for one, two and five."""
    for part, followed, file, cases in exported.parts:
        session = make_session(str(file))
        for inputs, right in cases:
            with torch.no_grad():
                of_torch = list_tensors(followed(*inputs.values()))
            of_onnx = run_session(session, inputs)
            assert len(of_torch) == len(of_onnx) == len(right) == len(part.outputs)
            assert max(map(measure_error, of_torch, right)) <= 1e-4
            assert max(map(measure_error, of_onnx, right)) <= 1e-4


def find_cosine(outputs: list[Tensor], right: list[Tensor]) -> float:
    """The smallest cosine of a sample's output with the right one."""
    pairs = zip(outputs, right)
    rows = [(x.float().flatten(1), y.float().flatten(1)) for x, y in pairs]
    return min(F.cosine_similarity(x, y, dim=1).min().item() for x, y in rows)


def check_cosines(file: Path, written: Written) -> None:
    session = make_session(str(file))
    for inputs, right in written.cases:
        assert find_cosine(run_session(session, inputs), right) >= 0.999


def test_float16_files(exported: Exported, tmp_path: Path) -> None:
    for written in exported.parts:
        content = convert_float_to_float16(onnx.load(written.file), keep_io_types=True)
        onnx.save(content, tmp_path / 'half.onnx')
        check_cosines(tmp_path / 'half.onnx', written)


def test_int8_files(exported: Exported, tmp_path: Path) -> None:
    for written in exported.parts:
        file = tmp_path / 'int8.onnx'
        quantize_dynamic(written.file, file, weight_type=QuantType.QUInt8)
        check_cosines(file, written)
        weights = sum(p.numel() for p in written.part.module.parameters())
        assert file.stat().st_size < written.file.stat().st_size or not weights


@pytest.mark.parametrize('system', SYSTEMS)
def test_float16_models(system: str) -> None:
    """The copy in half precision that is exported for ``dtype=torch.float16``."""
    model = make_model(system)
    clip, found = draw_clip(model, 2), []
    for dtype in (torch.float32, torch.float16):
        with copy_for_export(model.model, dtype) as inner:
            parts = list_parts(inner, clip, PARTS)
            found.append([run_part(resize_part(part, 5)) for part in parts])
    for full, half in zip(*found):
        assert all(x.dtype in (torch.float32, torch.bool) for x in half)
        assert find_cosine(half, full) >= 0.999
    assert next(model.model.parameters()).dtype == torch.float32


def test_files_say_nothing_of_this_machine(exported: Exported) -> None:
    for file in exported.files.values():
        content = file.read_bytes()
        assert b'site-packages' not in content
        assert str(Path(__file__).parents[3]).encode() not in content
