"""Room for arrays of many lengths in few shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...runtime import Array


class Room:
    """Arrays with room for more rows, to a power of four, used again and again.

    XLA compiles anew for each number of rows, and phones own any number of examples. Who reads the
    rows knows how many there are; behind them lies what was there before.
    """

    def __init__(self) -> None:
        self._arrays: dict[int, Array] = {}

    def hold(self, arrays: Sequence[Array]) -> list[Array]:
        """These arrays, each at the beginning of one with more rows; valid until the next call."""
        return [self._place(at, array) for at, array in enumerate(arrays)]

    def _place(self, at: int, array: Array) -> Array:
        rows = 1 << 2 * math.ceil((len(array) - 1).bit_length() / 2)
        shape, kept = (rows, *array.shape[1:]), self._arrays.get(at)
        if kept is None or kept.shape != shape:
            kept = self._arrays[at] = np.zeros(shape, array.dtype)
        kept[: len(array)] = array
        return kept
