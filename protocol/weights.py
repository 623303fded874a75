"""The weights of a model: one flat float32 vector, and the spec that names its parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import SpecMismatch
from .record import Record

Vector = npt.NDArray[np.float32]


class WeightEntry(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tensor of the layout: ``offset`` counts float32 elements from the start."""

    name: str
    shape: tuple[int, ...]
    offset: int
    trainable: bool = True

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class WeightSpec:
    """The layout of a weight vector: entries in order, without holes or overlaps.

    Raises SpecMismatch when the entries do not tile the vector or a name occurs twice.
    """

    entries: tuple[WeightEntry, ...]

    def __post_init__(self) -> None:
        expected = 0
        for entry in self.entries:
            if any(side < 0 for side in entry.shape):
                raise SpecMismatch(f"{entry.name!r} has a negative side in its shape {entry.shape}")
            if entry.offset != expected:
                raise SpecMismatch(f"{entry.name!r} starts at {entry.offset}, expected {expected}")
            expected += entry.size
        if len({entry.name for entry in self.entries}) != len(self.entries):
            raise SpecMismatch("two tensors of the layout have the same name")

    @classmethod
    def of(
        cls, shapes: Mapping[str, tuple[int, ...]], *, frozen: frozenset[str] = frozenset()
    ) -> WeightSpec:
        """Lays tensors out in the order of ``shapes``; those named in ``frozen`` do not train."""
        entries: list[WeightEntry] = []
        offset = 0
        for name, shape in shapes.items():
            entry = WeightEntry(name=name, shape=shape, offset=offset, trainable=name not in frozen)
            entries.append(entry)
            offset += entry.size
        return cls(tuple(entries))

    @property
    def size(self) -> int:
        """Number of float32 elements."""
        return sum(entry.size for entry in self.entries)

    def zeros(self) -> Weights:
        return Weights(self, np.zeros(self.size, np.float32))


@dataclass(frozen=True, eq=False)
class Weights:
    """A flat float32 ``vector`` of shape [spec.size], read by name through views.

    Serves for checkpoints and for deltas alike. Raises SpecMismatch when the vector does not fit.
    """

    spec: WeightSpec
    vector: Vector

    def __post_init__(self) -> None:
        if self.vector.dtype != np.float32 or self.vector.shape != (self.spec.size,):
            raise SpecMismatch(
                f"got a vector of {self.vector.dtype} and shape {self.vector.shape}, "
                f"expected float32 and shape ({self.spec.size},)"
            )

    @classmethod
    def pack(cls, spec: WeightSpec, arrays: Mapping[str, npt.NDArray[Any]]) -> Weights:
        """Copies named arrays into one vector; raises SpecMismatch if one does not fit."""
        weights = spec.zeros()
        for entry in spec.entries:
            array = arrays.get(entry.name)
            if array is None or array.shape != entry.shape:
                got = "nothing" if array is None else f"shape {array.shape}"
                raise SpecMismatch(f"{entry.name!r}: got {got}, expected shape {entry.shape}")
            weights[entry.name][...] = array
        return weights

    def __getitem__(self, name: str) -> Vector:
        """A view of one tensor: writing to it writes to the vector."""
        entry = self._by_name[name]
        return self.vector[entry.offset : entry.offset + entry.size].reshape(entry.shape)

    @cached_property
    def _by_name(self) -> dict[str, WeightEntry]:
        return {entry.name: entry for entry in self.spec.entries}
