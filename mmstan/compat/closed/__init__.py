"""Files of weights, read without running anything that they hold."""

from mmstan.compat.closed.files import is_torchscript, read_bytes, read_file, read_plain_pickle

__all__ = ['is_torchscript', 'read_bytes', 'read_file', 'read_plain_pickle']
