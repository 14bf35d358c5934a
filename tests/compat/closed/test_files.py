"""The closed reader: torch's own values from every format, and nothing else from any file."""

import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.weight_files import HOSTILE, TouchesOnLoad, archive, old_torchscript
from mmengine.logging import HistoryBuffer
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.serialization import safe_globals

from mmstan.compat.closed import is_torchscript, read_file, read_plain_pickle

DTYPES = (
    torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32,
    torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.uint16,
)  # fmt: skip


def everything() -> dict[str, Any]:
    """A checkpoint with all kinds of tensors, views, logs and plain values."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(6, 4, generator=generator)
    state = OrderedDict((str(x).split('.')[-1], base.mul(9).to(x)) for x in DTYPES)
    state._metadata = OrderedDict({'': {'version': 1}})  # type: ignore[attr-defined]
    return dict(
        state_dict=state,
        views=[base[1:, ::2], base.T, base[:0], base[2, 3], base.expand(2, 6, 4)],
        parameter=nn.Parameter(base.clone()),
        shape=base.shape,
        history=HistoryBuffer([1.0, 3.0], [1, 1]),
        numbers=(np.float32(0.5), np.int64(7), np.arange(6).reshape(2, 3)),
        plain=[
            None,
            True,
            -1,
            2**70,
            1.5,
            'täxt',
            b'bytes',
            {1, 2},
            frozenset({3}),
            1j,
            {(1, 'a'): 2},
        ],
        device=torch.device('cpu'),
        optimizer=dict(state={0: dict(step=torch.tensor(3.0))}, param_groups=[dict(params=[0])]),
    )


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, Tensor):
        return (
            ours.dtype == theirs.dtype and ours.shape == theirs.shape and bits(ours) == bits(theirs)
        )
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same(ours[k], v) for k, v in theirs.items())
    if isinstance(theirs, (list, tuple)):
        alike = type(ours) is type(theirs) and len(ours) == len(theirs)
        return alike and all(map(same, ours, theirs))
    if isinstance(theirs, HistoryBuffer):
        return same(list(ours.data), list(theirs.data)) and ours.mean() == theirs.mean()
    if isinstance(theirs, np.ndarray):
        return ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
    return type(ours) is type(theirs) and ours == theirs


def bits(tensor: Tensor) -> bytes:
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize('new', [True, False])
def test_everything_that_runner_writes_is_read(tmp_path: Path, new: bool) -> None:
    content = everything()
    torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=new)
    read = read_file(tmp_path / 'a.pth')
    expected = dict(content, parameter=content['parameter'].data)
    assert same(read, expected)
    assert read['state_dict']._metadata == content['state_dict']._metadata


@pytest.mark.parametrize('new', [True, False])
def test_views_of_one_storage_share_it(tmp_path: Path, new: bool) -> None:
    base = torch.randn(1000, 100)
    torch.save([base, base[1:], base.T], tmp_path / 'a.pth', _use_new_zipfile_serialization=new)
    first, *others = read_file(tmp_path / 'a.pth')
    assert {x.untyped_storage().data_ptr() for x in others} == {first.untyped_storage().data_ptr()}


@pytest.mark.parametrize('new', [True, False])
def test_map_location_moves_all_tensors(tmp_path: Path, new: bool) -> None:
    content = [torch.ones(2), {'a': torch.ones(3)[1:]}]
    torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=new)
    read = read_file(tmp_path / 'a.pth', map_location='meta')
    assert (read[0].device.type, read[1]['a'].device.type) == ('meta', 'meta')
    assert same(read_file(tmp_path / 'a.pth', map_location=lambda storage, _: storage), content)


def test_safetensors_are_told_by_their_contents(tmp_path: Path) -> None:
    state = {'a': torch.randn(3, 2), 'b': torch.randn(4).half()}
    save_file(state, tmp_path / 'weights.pth')
    assert same(read_file(tmp_path / 'weights.pth'), state)


@pytest.mark.parametrize('start', [b'\x80\x01', b'PK'])
def test_safetensors_whose_length_looks_like_another_format(start: bytes, tmp_path: Path) -> None:
    """The first bytes are the length of the header, and may be any."""
    length = int.from_bytes(start, 'little')
    state, file = {'a': torch.randn(3, 2)}, tmp_path / 'weights.safetensors'
    save_file(state, file)
    short = file.stat().st_size - 8 - 24
    save_file(state, file, metadata={'x': 'y' * (length - short - 40)})
    more = length - int.from_bytes(file.read_bytes()[:8], 'little')
    save_file(state, file, metadata={'x': 'y' * (length - short - 40 + more)})
    assert file.read_bytes().startswith(start)
    assert same(read_file(file), state)


def test_predictions_of_mmengine_are_read(tmp_path: Path) -> None:
    content = [dict(pred_score=torch.randn(3), gt_label=torch.tensor([1]), img_shape=(4, 5))]
    for protocol in (2, 4):
        (tmp_path / 'a.pkl').write_bytes(pickle.dumps(content, protocol))
        assert same(read_plain_pickle(tmp_path / 'a.pkl'), content)
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(print))
    with pytest.raises(ValueError, match=r'a\.pkl cannot be read: builtins\.print'):
        read_plain_pickle(tmp_path / 'a.pkl')


# --- TorchScript ---


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 2))
        self.register_buffer('vocab_size', torch.tensor(49408))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


class Outer(nn.Module):
    """Half precision, modules in modules, one of them twice, sizes as buffers: as OpenAI's."""

    def __init__(self) -> None:
        super().__init__()
        self.proj, self.norm = nn.Linear(4, 3), nn.LayerNorm(3)
        self.blocks = nn.Sequential(Inner(), Inner())
        self.again = self.blocks[0]
        self.logit_scale = nn.Parameter(torch.tensor(4.6))
        self.register_buffer('input_resolution', torch.tensor(224))
        self.names = ['a', 'b']
        self.mask = torch.zeros(2, 2)  # no buffer: a constant of the code

    def forward(self, x: Tensor) -> Tensor:
        return self.again(self.norm(self.proj(x))) @ self.mask.half() * self.logit_scale


def script(
    module: nn.Module, path: Path, how: Callable[[nn.Module], Any] = torch.jit.script
) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that TorchScript is deprecated
        scripted = how(module)
        torch.jit.save(scripted, str(path))
        return torch.jit.load(str(path), map_location='cpu')


@pytest.mark.parametrize(
    'how', [torch.jit.script, lambda m: torch.jit.trace(m, torch.zeros(1, 4).half())]
)
def test_a_torchscript_archive_gives_what_torch_jit_gives(tmp_path: Path, how: Any) -> None:
    theirs = script(Outer().half(), tmp_path / 'a.pt', how).state_dict()
    ours = read_file(tmp_path / 'a.pt')
    ours.pop('mask', None)  # an attribute, which torch.jit does not count as a buffer
    assert ours.keys() == theirs.keys() and 'again.weight' in ours and len(ours) == 12
    assert all(same(ours[name], theirs[name]) for name in theirs)
    assert is_torchscript(tmp_path / 'a.pt')


def test_an_archive_of_the_old_layout(tmp_path: Path) -> None:
    tensor = old_torchscript(tmp_path / 'ViT-B-32.pt')
    assert same(read_file(tmp_path / 'ViT-B-32.pt'), {'visual.proj': tensor})
    assert is_torchscript(tmp_path / 'ViT-B-32.pt')


def test_code_of_a_torchscript_archive_does_not_run(tmp_path: Path) -> None:
    ran = tmp_path / 'ran'
    script(TouchesOnLoad(str(ran)), tmp_path / 'a.pt')
    assert ran.exists(), 'torch.jit.load does not run it, so this test shows nothing'
    ran.unlink()
    assert read_file(tmp_path / 'a.pt') == {}  # the tensors have no owner that has a name for them
    assert not ran.exists()


# --- what is refused ---


@pytest.mark.parametrize('name', HOSTILE)
def test_a_hostile_file_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / 'hostile.pth'
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        HOSTILE[name](path)
    try:
        content = read_file(path)
    except ValueError as error:
        assert str(path) in str(error) and '\n' not in str(error) and len(str(error)) < 600
        return
    # What is left is data of another kind, which is refused where a state dict is looked for.
    assert name in READABLE, content


READABLE = {
    'torchscript that writes', 'huge memo', 'nested lists', 'list', 'state dict that is a list',
    'nothing in it', 'numbers as names', 'text as tensors',
}  # fmt: skip


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('expanded tensor', 'it declares a tensor of size (5000000000,) of 20,000,000,000 b'),
        ('tensor beyond its storage', 'a tensor of size (400,) that reaches beyond its 16'),
        ('type that lies', 'has 16 bytes, but is declared as 32: 4 numbers of torch.float64'),
        ('archive bomb', 'it declares a record archive/data/0 of 67,108,864 bytes'),
        ('huge bytearray', 'it makes bytes of a int'),
        ('cut archive', 'it is cut off or damaged'),
        ('cut old format', 'it is cut off'),
        ('web page', 'it is a web page, so the download went wrong'),
        ('pointer of git lfs', 'git lfs pull'),
        ('folder', 'is a folder: name the file in it'),
        ('pickle that calls', 'is refused for posix.system'),
    ],
)  # fmt: skip
def test_the_reason(name: str, reason: str, tmp_path: Path) -> None:
    HOSTILE[name](tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=re.escape(reason)):
        read_file(tmp_path / 'a.pth')


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    torch.save({'weight': torch.ones(1000)}, tmp_path / 'a.pth')
    data = bytearray((tmp_path / 'a.pth').read_bytes())
    data[data.index(torch.ones(9).numpy().tobytes()) + 2] ^= 1
    (tmp_path / 'a.pth').write_bytes(data)
    with pytest.raises(ValueError, match=r'it is cut off or damaged .Bad CRC-32'):
        read_file(tmp_path / 'a.pth')


def test_what_the_process_allows_is_built(tmp_path: Path) -> None:
    archive(tmp_path / 'a.pth', b'\x80\x02cmine.settings\nConfig\n)\x81}b.')
    with pytest.raises(ValueError, match=r'is refused for mine\.settings\.Config'):
        read_file(tmp_path / 'a.pth')
    with safe_globals([(OrderedDict, 'mine.settings.Config')]):
        assert read_file(tmp_path / 'a.pth') == {}
