"""What is written, what is refused, and the command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from apis.export.conftest import Exported
from helpers.export_systems import NAMES, draw_videos, make_model

import mmstan
from mmstan.apis.export import modules, write
from mmstan.apis.export.check import check_part
from mmstan.apis.export.onnx_files import make_session
from mmstan.commands import main


def test_axes_types_and_metadata(exported: Exported) -> None:
    """Raw frames come in, the first axis is any number, and the config is in the file."""
    content = onnx.load(exported.files['video'])
    frames = content.graph.input[0]
    dims = frames.type.tensor_type.shape.dim
    assert frames.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_param or d.dim_value for d in dims] == ['videos', 3, 4, 32, 32]
    found = {x.key: x.value for x in content.metadata_props}
    config = json.loads(found['mmstan.config'])
    assert config['class_names'] == exported.model.class_names
    assert config['pipeline']['val'][0]['type'] == 'mmstan.ReadFrames'
    assert {x.domain: x.version for x in content.opset_import}[''] == 20
    assert content.producer_name == 'mmstan'


def test_torch_files_and_a_fixed_batch(tmp_path: Path) -> None:
    model = make_model('tubes')
    files = model.export(tmp_path / 'm.pt2', format='torch', dynamic=(), parts=('video', 'scores'))
    assert list(files) == ['video']
    more = {'mmstan.config': ''}
    program = torch.export.load(files['video'], extra_files=more)
    frames = torch.randint(0, 256, (1, 3, 4, 32, 32), dtype=torch.uint8)
    _, scores = program.module()(frames)
    video = frames[0].permute(1, 2, 3, 0).numpy()  # of the model's own size: read as it is
    right = model.classify(video).all
    np.testing.assert_allclose(scores[0].softmax(0).detach(), right, atol=1e-5)
    assert json.loads(more['mmstan.config'])['class_names'] == NAMES
    with pytest.raises((RuntimeError, AssertionError)):
        program.module()(frames.repeat(2, 1, 1, 1, 1))


def test_float16(tmp_path: Path) -> None:
    """``dtype`` of the model is the type of the file's weights; inputs and outputs stay."""
    model = make_model('shift')
    full = model.embed(draw_videos(2))
    model.dtype = torch.float16
    file = model.export(tmp_path / 'half.onnx', parts=('video', 'scores'))['video']
    kinds = {x.data_type for x in onnx.load(file).graph.initializer if len(x.dims) > 1}
    assert onnx.TensorProto.FLOAT16 in kinds
    loaded = mmstan.load(file, workers=0)
    assert (loaded.embed(draw_videos(2)) * full).sum(dim=1).min() > 0.999
    assert {x.type for x in make_session(str(file)).get_outputs()} == {'tensor(float)'}


def test_a_file_that_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, follow = make_model('tubes'), write.follow

    def follow_something_else(part: Any, *, dynamic: bool) -> Any:
        normalise = part.module.normalise
        right = normalise.mean
        normalise.mean = right + 1
        program = follow(part, dynamic=dynamic)
        normalise.mean = right
        return program

    monkeypatch.setattr(write, 'follow', follow_something_else)
    with pytest.raises(ValueError, match=r"m\.pt2: output 'features' differs from the model"):
        model.export(tmp_path / 'm.pt2', format='torch', parts=('video',))
    assert not list(tmp_path.iterdir())


def test_an_onnx_file_that_differs_is_noticed(exported: Exported) -> None:
    """Compared are batches of one and of three."""
    written = exported.parts[0]
    check_part(written.file, written.part, written.file, batches=(1, 3))
    other = written.part._replace(inputs={**written.part.inputs})
    other.module.normalise.mean += 1  # type: ignore[operator, union-attr]
    try:
        with pytest.raises(ValueError, match=r"model\.onnx: output 'features' differs"):
            check_part(written.file, other, written.file, batches=(1, 3))
    finally:
        other.module.normalise.mean -= 1  # type: ignore[operator, union-attr]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(path='m.bin'), r'm\.bin: the name of a onnx file ends in \.onnx'),
        (dict(path='m.pt2', format='onnx'), r'ends in \.onnx'),
        (dict(format='coreml'), "format='coreml'"),
        (dict(parts=('video', 'audio')), "parts='audio'"),
        (dict(parts=()), 'give some of video, text, scores'),
        (dict(dynamic=('frames',)), "dynamic='frames'"),
        (dict(opset=11), 'opset=11: 18 to 23'),
        (dict(parts=('text',)), "tubes has no part 'text' to export: a TimeSformerHead"),
    ],
)
def test_options_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / options.pop('path', 'm.onnx')
    with pytest.raises(ValueError, match=message):
        make_model('tubes').export(path, **options)
    assert not list(tmp_path.iterdir())


def test_missing_packages_name_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__('sys').modules, 'onnxscript', None)
    with pytest.raises(ImportError, match=r'needs the package onnxscript: .*mmstan\[export\]'):
        make_model('tubes').export(tmp_path / 'm.onnx')


def test_colours_and_formats_of_preprocessors() -> None:
    from mmaction.models.data_preprocessors import ActionDataPreprocessor

    frames = torch.randint(0, 256, (2, 3, 4, 5, 6), dtype=torch.uint8)
    for more in (dict(), dict(to_rgb=True), dict(mean=[1.0, 2, 3], std=[4.0, 5, 6], to_rgb=True)):
        preprocessor = ActionDataPreprocessor(format_shape='NCTHW', **more)
        right, _ = preprocessor.preprocess(list(frames[:, None]), [])
        for given in (frames, frames.float()):
            found = modules.Normalise(preprocessor, torch.float32)(given)
            torch.testing.assert_close(found, right[:, 0])
    of_images = ActionDataPreprocessor(mean=[1.0, 2, 3], std=[4.0, 5, 6], format_shape='NCHW')
    right, _ = of_images.preprocess(list(frames.transpose(1, 2)), [])
    found = modules.Normalise(of_images, torch.float32)(frames)
    torch.testing.assert_close(found, right.transpose(1, 2))


def test_the_command_and_predict(
    clips: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / 'saved'
    model = make_model('tubes')
    model.save(folder)
    out = tmp_path / 'out' / 'model.onnx'
    main(
        ['export', str(folder), '--device', 'cpu', '--out', str(out), '--parts', 'video', 'scores']
    )
    assert f'written: {out}, video, ' in capsys.readouterr().out
    main(['predict', str(out), str(clips[0]), '--top', '3', '--workers', '0'])
    scores = model.classify(clips[0])
    best = ', '.join(f'{name} {value:.3f}' for name, value in zip(scores.names, scores.values))
    assert f'{clips[0]}: {best}' in capsys.readouterr().out
    main(['embed', str(out), str(clips[0]), '--out', str(tmp_path / 'x.npz')])
    right = model.embed(clips[:1])
    np.testing.assert_allclose(np.load(tmp_path / 'x.npz')['features'], right, atol=1e-5)
    for options in (['--out', str(tmp_path / 'm.bin')], ['--out', str(out), '--parts', 'text']):
        with pytest.raises(SystemExit, match=r'^error: .*') as end:
            main(['export', str(folder), '--device', 'cpu', *options])
        assert '\n' not in str(end.value)
