"""Ownership: what each phone owns, for life.

A fleet asks for a phone's examples when the phone works and lets go of them when it sleeps, so the
memory of a run follows the phones at work, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .data.examples import Examples


class Ownership(Protocol):
    """Which examples are whose: a pure function of the phone's number, and picklable.

    Every process that holds an equal ownership gives the same phone the same examples.
    """

    @property
    def phones(self) -> int:
        """How many phones there are; they are numbered from 0."""
        ...

    def of(self, device: int) -> Examples:
        """All that one phone owns, at least one example; the same whenever it is asked."""
        ...

    def num_examples(self, device: int) -> int:
        """``len(of(device))``, without making the examples."""
        ...


@dataclass(frozen=True)
class Partitioned:
    """A data set shared out: ``rows`` lists its examples owner by owner, in four bytes each.

    Phone d owns ``rows[starts[d]:starts[d + 1]]``. The data set's arrays may be memory-mapped; of
    them only what a working phone owns is copied.
    """

    examples: Examples
    rows: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]

    @classmethod
    def of_parts(cls, examples: Examples, parts: Sequence[npt.NDArray[np.integer]]) -> Partitioned:
        """Gives each phone one array of indices."""
        starts = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        rows = np.concatenate(parts).astype(np.int32)
        return cls(examples, rows, starts)

    @property
    def phones(self) -> int:
        return len(self.starts) - 1

    def of(self, device: int) -> Examples:
        return self.examples.take(self.rows[self.starts[device] : self.starts[device + 1]])

    def num_examples(self, device: int) -> int:
        return int(self.starts[device + 1] - self.starts[device])


@dataclass(frozen=True)
class Listed:
    """Examples that somebody has sorted by owner already: one entry for each phone."""

    each: Sequence[Examples]

    @property
    def phones(self) -> int:
        return len(self.each)

    def of(self, device: int) -> Examples:
        return self.each[device]

    def num_examples(self, device: int) -> int:
        return len(self.each[device])
