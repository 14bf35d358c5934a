"""Reading the kinds of files in which data sets are distributed: lists, tables, JSON, pickles."""

from __future__ import annotations

import csv
import io
import pickle
from collections import OrderedDict, defaultdict
from typing import Any

import numpy as np
from mmengine.fileio import exists, get, get_text, list_from_file, load

_ENCODING = 'utf-8-sig'  # UTF-8, also with the mark that spreadsheet programs put first


def check_file(argument: str, path: str) -> str:
    """``path``, given that it is there.

    Raises:
        ValueError: ``argument`` is not set.
        FileNotFoundError: its file does not exist.
    """
    if not path:
        raise ValueError(f"{argument}='' must name a file; the class says which")
    if not exists(path):
        raise FileNotFoundError(
            f'{argument}={path!r} does not exist; prepare the data as the README says under data '
            f'preparation, or set {argument} (relative to data_root) to where it is'
        )
    return path


def read_json(argument: str, path: str) -> Any:
    """What the JSON file of ``argument`` holds; errors as for :func:`check_file`."""
    return load(check_file(argument, path), file_format='json')


def read_lines(argument: str, path: str) -> list[str]:
    """The lines that are not blank, without line ends; errors as for :func:`check_file`."""
    return [line for line in list_from_file(check_file(argument, path), encoding=_ENCODING) if line]


def read_csv(argument: str, path: str) -> list[dict[str, str]]:
    """The rows of a table with a header that has a column ``video_id``.

    Raises:
        ValueError: it has not; others as for :func:`check_file`.
    """
    text = get_text(check_file(argument, path), encoding=_ENCODING)
    table = csv.DictReader(io.StringIO(text, newline=''))
    if 'video_id' not in (table.fieldnames or ()):
        raise ValueError(
            f'{argument}={path!r} must have a column video_id, not {table.fieldnames}: give the '
            'split as it is distributed'
        )
    return list(table)


def read_names(argument: str, path: str) -> list[str]:
    """The videos of a split: a .csv with the column video_id, a .json list, or a line a video."""
    if path.endswith('.csv'):
        return [row['video_id'].strip() for row in read_csv(argument, path)]
    if path.endswith('.json'):
        names = read_json(argument, path)
        if not isinstance(names, list):
            raise ValueError(
                f'{argument}={path!r} must hold a list of videos, not a {type(names).__name__}: '
                'a file of captions is given as ann_file'
            )
        return [str(name) for name in names]
    return [line.strip() for line in read_lines(argument, path)]


def read_pickle(argument: str, path: str) -> Any:
    """A pickle of plain containers, text and numbers, Python 2's included; nothing else is built.

    Raises:
        ValueError: it holds anything else, which could run code; others as for :func:`check_file`.
    """
    data = get(check_file(argument, path))
    try:
        return _PlainUnpickler(io.BytesIO(data), encoding='latin1').load()
    except Exception as error:
        raise ValueError(
            f'{argument}={path!r} must be a pickle of plain dicts, lists, text and numbers: '
            f'{error}; give the file as it is distributed'
        ) from error


_NUMPY_SCALAR = np.int64(0).__reduce__()[0]
_ALLOWED = {
    ('builtins', 'list'): list,
    ('builtins', 'dict'): dict,
    ('collections', 'OrderedDict'): OrderedDict,
    ('collections', 'defaultdict'): defaultdict,
    ('numpy', 'dtype'): np.dtype,
    ('numpy.core.multiarray', 'scalar'): _NUMPY_SCALAR,  # before NumPy 2
    ('numpy._core.multiarray', 'scalar'): _NUMPY_SCALAR,
}


class _PlainUnpickler(pickle.Unpickler):
    """A pickle names the functions that it calls; these are the harmless ones."""

    def find_class(self, module: str, name: str) -> Any:
        module = {'__builtin__': 'builtins'}.get(module, module)  # Python 2
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f'it asks for {module}.{name}')
        return _ALLOWED[module, name]
