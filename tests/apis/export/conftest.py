"""Each system is exported once."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers.export_systems import SYSTEMS, WITH_TEXTS, make_model

from mmstan.apis.export import write
from mmstan.apis.export.check import resize_part
from mmstan.apis.export.parts import Part, run_part
from mmstan.apis.video_model import VideoModel

BATCHES = (1, 2, 5)


class Written(NamedTuple):
    """A part, as torch.export follows it, and its ONNX file; inputs and what the model gives."""

    part: Part
    followed: Callable[..., Any]
    file: Path
    cases: list[tuple[dict[str, Any], list[Any]]]


class Exported(NamedTuple):
    system: str
    model: VideoModel
    files: dict[str, Path]
    parts: list[Written]


@pytest.fixture(scope='session', autouse=True)
def one_registry() -> Iterator[None]:
    """PyTorch lists all ONNX operators at each export, for half a second: list them once."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(ONNXRegistry.from_torchlib)
        patch.setattr(ONNXRegistry, 'from_torchlib', staticmethod(once))
        yield


@pytest.fixture(scope='session', params=SYSTEMS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A system, exported to ONNX by way of torch.export, with a batch of two."""
    system, found = request.param, []
    model, follow = make_model(system), write.follow
    folder = tmp_path_factory.mktemp(system)

    def remember(part: Part, *, dynamic: bool) -> Any:
        program = follow(part, dynamic=dynamic)
        sized = [resize_part(part, batch) for batch in BATCHES]
        cases = [(x.inputs, run_part(x)) for x in sized]
        file = write.name_part(folder / 'model.onnx', part.name)
        found.append(Written(part, program.module(), file, cases))
        return program

    names: tuple[Any, ...] = ('video', 'text', 'scores')
    if system not in WITH_TEXTS:  # the classes of a recognizer are in the file of the videos
        names = ('video',) if model.is_retrieval else ('video', 'scores')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, 'follow', remember)
        files = model.export(folder / 'model.onnx', parts=names, check=False)
    return Exported(system, model, files, found)
