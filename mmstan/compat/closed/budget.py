"""A limit of the memory that the contents of a file may take."""

from __future__ import annotations

import pickle


class Refused(pickle.UnpicklingError):
    """A pickle names something that is not on the list."""


class Budget:
    """The bytes that may be made from a file: some times its own size, and 16 MB.

    Args:
        size: Bytes of the file.
        factor: How many times the size. A file of weights is mostly numbers; a pickle of small
            arrays takes several times its size.
    """

    SMALL = 256
    """Bytes that any object takes in addition to its contents."""

    def __init__(self, size: int, factor: int = 4) -> None:
        self.size, self.most, self.spent = size, factor * size + 2**24, 0

    def spend(self, size: int, thing: str) -> None:
        """Count the ``size`` bytes of an object, before it is made.

        Raises:
            UnpicklingError: All objects together are too large for the file.
        """
        self.spent += size + self.SMALL
        if size > self.most:
            raise pickle.UnpicklingError(
                f'it declares {thing} of {size:,} bytes, and the whole file has {self.size:,}'
            )
        if self.spent > self.most:
            raise pickle.UnpicklingError(
                f'its contents take more than {self.most:,} bytes, and the whole file has '
                f'{self.size:,} (the last of them: {thing} of {size:,} bytes)'
            )
