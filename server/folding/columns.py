"""The deltas of a round turned on their side: for each element, all that the devices sent.

A table of deltas may be larger than memory, so it lies in a temporary file, cut into blocks of
columns of which one at a time is in memory. The file has no name and ends with the process.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from ...protocol.weights import Vector
from .sums import Update

BLOCK_BYTES = 8 * 1024**2
_ITEM = np.dtype(np.float32).itemsize

# The values of some elements, one element a row and each row sorted -> one value per element.
Reduce = Callable[[Vector], Update]


def reduce_columns(
    deltas: Iterable[Vector],
    reduce: Reduce,
    *,
    rows: int,
    columns: range,
    scratch: Path | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Update:
    """Reduces the elements ``columns`` of ``rows`` deltas; without deltas the result is zero.

    Keeps one delta and about three times ``block_bytes`` in memory, and the rest in a file in
    ``scratch`` (by default the system's folder for temporary files).
    """
    if rows == 0 or not columns:
        return np.zeros(len(columns))
    with _table(rows, columns, scratch=scratch, block_bytes=block_bytes) as table:
        for row, delta in enumerate(deltas):
            table.write(row, delta)
        return np.concatenate([reduce(block) for block in table.sorted_blocks()])


def trimmed_mean(fraction: float) -> Reduce:
    """The mean of what is left without floor(fraction * n) values at each end."""

    def reduce(values: Vector) -> Update:
        count = values.shape[1]
        # Rounded first, so that 0.29 * 100 cuts 29 values and not 28.
        cut = math.floor(round(fraction * count, 9))
        # In float64 before the sum: numpy would cast in pieces that depend on the block's shape.
        kept = values[:, cut : count - cut].astype(np.float64)
        means: Update = kept.sum(axis=1) / kept.shape[1]
        return means + 0.0  # the order of -0.0 and 0.0 among equals is nobody's

    return reduce


def median(values: Vector) -> Update:
    """The value in the middle, or half the sum of the two there."""
    upper = values.shape[1] // 2
    lower = (values.shape[1] - 1) // 2
    middle: Update = np.add(values[:, lower], values[:, upper], dtype=np.float64)
    return middle / 2.0 + 0.0


class _Table:
    """``rows`` deltas of which a range of ``columns`` is kept, block behind block in a file."""

    def __init__(self, file: BinaryIO, rows: int, columns: range, width: int) -> None:
        self._file = file
        self._rows = rows
        self._columns = columns
        self._width = width

    def write(self, row: int, delta: Vector) -> None:
        for begin, block in self._blocks():
            self._file.seek(begin * self._rows * _ITEM + row * len(block) * _ITEM)
            self._file.write(delta[block.start : block.stop].data)

    def sorted_blocks(self) -> Iterator[Vector]:
        """For each block its columns as rows, each sorted."""
        for begin, block in self._blocks():
            self._file.seek(begin * self._rows * _ITEM)
            values = np.empty((self._rows, len(block)), np.float32)
            self._file.readinto(values.data)  # type: ignore[attr-defined]
            turned = np.ascontiguousarray(values.T)
            del values
            turned.sort(axis=1)
            yield turned

    def _blocks(self) -> Iterator[tuple[int, range]]:
        """(first column of the table, the same columns of a delta) of each block."""
        for begin in range(0, len(self._columns), self._width):
            yield begin, self._columns[begin : begin + self._width]


@contextmanager
def _table(
    rows: int, columns: range, *, scratch: Path | None, block_bytes: int
) -> Iterator[_Table]:
    width = max(1, block_bytes // (rows * _ITEM))
    with tempfile.TemporaryFile(dir=scratch, buffering=0) as file:
        yield _Table(cast(BinaryIO, file), rows, columns, width)
