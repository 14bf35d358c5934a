"""The formats of files of weights: torch's two, TorchScript archives, safetensors.

torch's present format and TorchScript are zip archives with a pickle, ``data.pkl``, and a record
of bytes for each storage. The format before torch 1.6 is several pickles, then the storages.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors.torch import load, load_file
from torch import Tensor

from mmstan.compat.closed.archive import read_archive
from mmstan.compat.closed.budget import Budget, Refused
from mmstan.compat.closed.old_format import load_nested, read_old_format
from mmstan.compat.closed.unpickler import MOST_STEPS, ClosedUnpickler, load_no_storage
from mmstan.wording import write_on_one_line

_GROWTH = 32
"""How many times the size of a plain pickle its contents may take: small arrays take seven."""


def read_file(path: str | Path, *, map_location: Any = None) -> Any:
    """Read a file of weights: tensors, plain values and MMEngine's logs.

    A TorchScript archive gives a dict of its tensors by name.

    Args:
        path: The file; its contents decide the format.
        map_location: Device of the tensors; the CPU for None, functions and dicts.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: In one line, the file and the reason why it cannot be read, or the name that is
            refused. No code of the file has run, and at most a few times its size was allocated.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise ValueError(f'checkpoint {path} is a folder: name the file in it')
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint {path} does not exist')
    with path.open('rb') as file:
        return read_bytes(file, str(path), path.stat().st_size, map_location)


def read_bytes(file: BinaryIO, source: str, size: int, map_location: Any = None) -> Any:
    """Read an open file of ``size`` bytes named ``source``; see :func:`read_file`."""
    try:
        return _read_any(_Bounded(file, size), size, _name_device(map_location))
    except Refused as error:
        raise ValueError(
            f'checkpoint {source} is refused for {error}: only tensors, plain values and '
            "MMEngine's logs are loaded, since anything else could run code; ask its author for "
            'the state dict alone'
        ) from None
    except Exception as error:  # a file that is no checkpoint may fail at any step of a reader
        raise ValueError(
            f'checkpoint {source} cannot be read: {_give_reason(error)}; fetch or write it again'
        ) from error


def read_plain_pickle(path: Path) -> Any:
    """Read a pickle of plain values and tensors, such as the predictions that MMEngine dumps.

    Raises:
        ValueError: As in :func:`read_file`; at most 32 times the file's size was allocated.
    """
    data = path.read_bytes()
    try:
        return ClosedUnpickler(
            io.BytesIO(data),
            Budget(len(data), _GROWTH),
            load_no_storage,
            {'torch.storage._load_from_bytes': load_nested},
            max(MOST_STEPS, len(data) // 2),
        ).load()
    except Exception as error:  # as above
        raise ValueError(f'{path} cannot be read: {_give_reason(error)}') from error


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, the format in which OpenAI distributes CLIP."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any('/code/' in name for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, struct.error):
        return False


class _Bounded(io.RawIOBase):
    """A file that never allocates for more bytes than it has.

    Pickles declare the length of a text, and Python's files allocate it before they read.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size

    def read(self, size: int | None = -1) -> bytes:
        rest = max(0, self.size - self.file.tell())
        return self.file.read(rest if size is None or size < 0 else min(size, rest))

    def readline(self, size: int | None = -1) -> bytes:
        return self.file.readline()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def _name_device(map_location: Any) -> str | None:
    """Name the device to which tensors are moved; None for the CPU."""
    if isinstance(map_location, (str, int, torch.device)) and str(map_location) != 'cpu':
        return str(map_location)
    return None


def _read_any(file: Any, size: int, device: str | None) -> Any:
    start = file.read(512)
    file.seek(0)
    if not start:
        raise ValueError('it is empty')
    # First of all: the length of a header may begin with the bytes of a pickle or an archive.
    if start[8:9] == b'{' and int.from_bytes(start[:8], 'little') + 8 <= size:
        return _read_safetensors(file, device)
    if start.startswith(b'PK'):
        return read_archive(file, Budget(size), device)
    if start.startswith(b'\x80'):
        return read_old_format(file, Budget(size), device)
    raise ValueError(_describe(start))


def _describe(start: bytes) -> str:
    """Describe a file that is no checkpoint, by its first bytes."""
    if start.startswith(b'version https://git-lfs'):
        return 'it is a pointer of Git LFS, not the file itself (git lfs pull)'
    if start.lstrip().lower().startswith((b'<!doctype', b'<html')):
        return 'it is a web page, so the download went wrong'
    if start[257:262] == b'ustar':
        return 'it is a tar archive: unpack it'
    if start[8:9] == b'{':
        return 'it is cut off: its header is longer than the file'
    return 'it is no checkpoint of torch, TorchScript archive or safetensors file'


def _give_reason(error: Exception) -> str:
    """Turn the message of an error into a reason, in one line."""
    if isinstance(error, zipfile.BadZipFile):
        return f'it is cut off or damaged ({error})'
    if isinstance(error, (ValueError, pickle.UnpicklingError, EOFError)) and str(error):
        return write_on_one_line(error, most=300)
    message = write_on_one_line(error)
    return f'it is damaged ({type(error).__name__}{": " if message else ""}{message})'


def _read_safetensors(file: Any, device: str | None) -> dict[str, Tensor]:
    name = getattr(file.file, 'name', None)
    if isinstance(name, str):
        return load_file(name, device=device or 'cpu')
    return {key: tensor.to(device or 'cpu') for key, tensor in load(file.read()).items()}
