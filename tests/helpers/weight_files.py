"""Files of weights that are damaged, hostile, or no files of weights at all."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn


class Call:
    """Pickles as a call of ``function``."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable, tuple]:
        return self.call


class TouchesOnLoad(nn.Module):
    """Would write ``file`` as ``torch.jit.load`` reads it; TorchScript runs this itself."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.file = file

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, str, bool]:
        return self.weight, self.file, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, str, bool]) -> None:
        self.weight = state[0]
        self.file = state[1]
        self.training = state[2]
        torch.save(state[0], state[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


def archive(path: Path, program: bytes, records: Mapping[str, bytes] | None = None, **kwargs: Any):
    """A zip archive in torch's format whose ``data.pkl`` is ``program``."""
    with zipfile.ZipFile(path, 'w', **kwargs) as file:
        file.writestr('archive/data.pkl', program)
        file.writestr('archive/version', '3\n')
        for name, data in (records or {}).items():
            file.writestr(f'archive/data/{name}', data)


def _name(module: str, name: str) -> bytes:
    return b'c' + f'{module}\n{name}\n'.encode()


def _storage(kind: str = 'FloatStorage', key: str = '0', elements: int = 4) -> bytes:
    """The operations that put a storage on the stack."""
    return (
        b'(' + _text('storage') + _name('torch', kind) + _text(key) + _text('cpu')
        + _integer(elements) + b'tQ'
    )  # fmt: skip


def _text(text: str) -> bytes:
    return b'X' + struct.pack('<I', len(text)) + text.encode()


def _integer(number: int) -> bytes:
    return pickle.dumps(number, protocol=2)[2:-1]


def _tensor(
    storage: bytes, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0
) -> bytes:
    rebuild = _name('torch._utils', '_rebuild_tensor_v2')
    shapes = b''.join(b'(' + b''.join(map(_integer, x)) + b't' for x in (size, stride))
    return rebuild + b'(' + storage + _integer(0) + shapes + b'\x89N' + b'tR'


def _in_dict(value: bytes) -> bytes:
    """The program of ``{'state_dict': {'weight': value}}``."""
    return b'\x80\x02}' + _text('state_dict') + b'}' + _text('weight') + value + b'ss.'


def _numbers(path: Path, size: tuple[int, ...], stride: tuple[int, ...], **storage: Any) -> None:
    archive(path, _in_dict(_tensor(_storage(**storage), size, stride)), {'0': bytes(16)})


def old_torchscript(path: Path) -> Tensor:
    """An archive as torch 1.7 wrote OpenAI's, of one tensor ``visual.proj``, float16 (2, 2)."""
    tensor = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float16)
    proj = _tensor(_storage('HalfStorage'), (2, 2), (2, 1))
    module = _name('__torch__.multimodal', 'Visual') + b')\x81}' + _text('proj') + proj + b'sb'
    model = _name('__torch__.multimodal', 'CLIP') + b')\x81}(' + _text('training') + b'\x89'
    program = b'\x80\x02' + model + _text('visual') + module + b'ub.'
    archive(path, program, {'0': tensor.numpy().tobytes()})
    with zipfile.ZipFile(path, 'a') as file:
        file.writestr('archive/constants.pkl', b'\x80\x02)' + b'.')
        file.writestr('archive/constants/0', bytes(8))
        file.writestr('archive/code/__torch__/multimodal.py', 'class CLIP(Module):\n  pass\n')
    return tensor


def _header(path: Path, header: Any, data: bytes = bytes(16)) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack('<Q', len(text)) + text + data)


def _cut(path: Path, share: float, **kwargs: Any) -> None:
    torch.save({'state_dict': {'weight': torch.arange(1000.0)}}, path, **kwargs)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def _cut_safetensors(path: Path) -> None:
    save_file({'weight': torch.arange(1000.0)}, path)
    path.write_bytes(path.read_bytes()[:-10])


def _nested(path: Path) -> None:
    inner = io.BytesIO()
    torch.save({'weight': torch.ones(2)}, inner)
    archive(path, inner.getvalue())


def _bomb(path: Path) -> None:
    program = _in_dict(_tensor(_storage(elements=2**24), (2**24,), (1,)))
    archive(path, program, {'0': bytes(2**26)}, compression=zipfile.ZIP_DEFLATED)


def _doubled_key(levels: int = 60) -> bytes:
    """A tuple that holds itself twice, level by level, as the key of a dict."""
    pairs = b''.join(b'q%c0h%ch%c\x86' % (i, i, i) for i in range(levels))
    return b'\x80\x02}K\x01' + pairs + b'K\x01s.'


def _listed(path: Path) -> None:
    torch.save({'state_dict': [torch.ones(2)]}, path)


def _script(path: Path) -> None:
    module = torch.jit.script(TouchesOnLoad(str(path.with_suffix('.ran'))))
    torch.jit.save(module, str(path))


def _deep(path: Path) -> None:
    archive(path, b'\x80\x02' + b']' * 100_000 + b'a' * 99_999 + b'.')


HOSTILE: dict[str, Callable[[Path], Any]] = {
    'empty': lambda path: path.write_bytes(b''),
    'folder': lambda path: path.mkdir(),
    'text': lambda path: path.write_text('hello world\n' * 100),
    'random bytes': lambda path: path.write_bytes(bytes(range(256)) * 9),
    'web page': lambda path: path.write_text('<!DOCTYPE html><html>404</html>'),
    'pointer of git lfs': lambda path: path.write_text('version https://git-lfs.github.com/spec/v1'),
    'cut archive': lambda path: _cut(path, 0.5),
    'cut old format': lambda path: _cut(path, 0.5, _use_new_zipfile_serialization=False),
    'cut safetensors': _cut_safetensors,
    'archive of something else': lambda path: zipfile.ZipFile(path, 'w').writestr('a/b.txt', 'b'),
    'archive in an archive': _nested,
    'archive bomb': _bomb,
    'plain pickle': lambda path: path.write_bytes(pickle.dumps({'weight': 1})),
    'pickle that calls': lambda path: torch.save({'a': Call(os.system, 'true')}, path),
    'old pickle that calls': lambda path: path.write_bytes(pickle.dumps(Call(eval, '1'), 2)),
    'torchscript that writes': _script,
    'expanded tensor': lambda path: _numbers(path, (5_000_000_000,), (0,)),
    'tensor beyond its storage': lambda path: _numbers(path, (400,), (1,)),
    'type that lies': lambda path: _numbers(path, (4,), (1,), kind='DoubleStorage'),
    'negative size': lambda path: _numbers(path, (-4,), (1,)),
    'record that is missing': lambda path: _numbers(path, (4,), (1,), key='7'),
    'huge bytearray': lambda path: archive(
        path, b'\x80\x02' + _name('builtins', 'bytearray') + _integer(10**11) + b'\x85R.'
    ),
    'huge tensor': lambda path: archive(
        path, b'\x80\x02' + _name('torch', 'Tensor') + _integer(10**11) + b'\x85R.'
    ),
    'huge number': lambda path: archive(
        path,
        b'\x80\x02' + _name('numpy._core.multiarray', 'scalar') + _name('numpy', 'dtype')
        + _text('V99999999999') + b'\x89\x88\x87R' + b'U\x01a\x86R.',
    ),
    'huge memo': lambda path: archive(path, b'\x80\x02}r\xff\xff\xff\xff.'),
    'huge text': lambda path: archive(path, b'\x80\x04\x8d' + struct.pack('<Q', 2**40) + b'a.'),
    'huge storage': lambda path: archive(
        path, _in_dict(_tensor(_storage(elements=2**40), (4,), (1,))), {'0': bytes(16)}
    ),
    'key that doubles': lambda path: archive(path, _doubled_key()),
    'nested lists': _deep,
    'list': lambda path: torch.save([torch.ones(2)], path),
    'state dict that is a list': _listed,
    'nothing in it': lambda path: torch.save({'state_dict': OrderedDict()}, path),
    'numbers as names': lambda path: torch.save({'state_dict': {1: torch.ones(2)}}, path),
    'text as tensors': lambda path: torch.save({'state_dict': {'weight': 'one', 'a': 1}}, path),
    'header of no json': lambda path: _header(path, b'{"weight": '),
    'header that is too long': lambda path: path.write_bytes(struct.pack('<Q', 2**40) + b'{}'),
    'header of another size': lambda path: _header(
        path, {'weight': {'dtype': 'F32', 'shape': [10**9], 'data_offsets': [0, 16]}}
    ),
    'header of no type': lambda path: _header(
        path, {'weight': {'dtype': 'F33', 'shape': [4], 'data_offsets': [0, 16]}}
    ),
}  # fmt: skip
"""Name -> what writes such a file."""


def wrong_for(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Checkpoints that load, but hold something else than ``state``'s values, by what is wrong."""
    name, value = next(
        (name, value)
        for name, value in state.items()
        if value.is_floating_point() and value.ndim > 1
    )
    rest = {other: tensor for other, tensor in state.items() if other != name}
    return {
        'other names': {f'encoder.{key}': tensor for key, tensor in state.items()},
        'one is missing': rest,
        'one is left over': {**state, 'extra': value},
        'one of another shape': {**state, name: value[:-1].clone()},
        'one of integers': {**state, name: value.long()},
        'one is a list': {**state, name: value.tolist()},
        'one with nan': {**state, name: torch.full_like(value, float('nan'))},
        'one is transposed': {**state, name: value.flatten().clone()},
    }
