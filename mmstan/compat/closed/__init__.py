"""Readers for files of weights, which run no code of a file."""

from mmstan.compat.closed.files import is_torchscript, read_bytes, read_file, read_plain_pickle

__all__ = ['is_torchscript', 'read_bytes', 'read_file', 'read_plain_pickle']
