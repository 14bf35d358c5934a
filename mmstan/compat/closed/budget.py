"""A limit of the memory that the contents of a file may take."""

from __future__ import annotations

import pickle


class Refused(pickle.UnpicklingError):
    """A pickle names something that is not on the list."""


class Budget:
    """The bytes that may be made from a file: four times its own size, and 16 MB.

    Args:
        size: Bytes of the file.
    """

    SMALL = 256
    """Bytes that any object takes in addition to its contents."""

    def __init__(self, size: int) -> None:
        self.size, self.spent = size, 0

    def spend(self, size: int, thing: str) -> None:
        """Count the ``size`` bytes of an object, before it is made.

        Raises:
            UnpicklingError: All objects together are too large for the file.
        """
        self.spent += size + self.SMALL
        if self.spent > 4 * self.size + 2**24:
            raise pickle.UnpicklingError(
                f'it declares {thing} of {size:,} bytes, and the whole file has {self.size:,}'
            )
