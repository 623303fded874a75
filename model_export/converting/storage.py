"""Storage: in which floats a model file holds its first weights; arithmetic is always float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np

from ...protocol.artifact import STORED_BYTES, Storage
from ...protocol.errors import ExportError
from ...protocol.weights import Vector
from ..reading.inspection import float_variables


@contextmanager
def rounded(model: keras.Model, storage: str) -> Iterator[Storage]:
    """Meanwhile the weights of ``model`` are what the file can hold, which training begins with.

    Raises ExportError for an unknown ``storage``, and for a weight that it cannot hold.
    """
    chosen: Storage | None = next((known for known in STORED_BYTES if known == storage), None)
    if chosen is None:
        raise ExportError(f"got storage={storage!r}, expected one of {', '.join(STORED_BYTES)}")
    narrowed = float_variables(model) if chosen == "float16" else []
    kept = [(variable, variable.numpy()) for variable in narrowed]
    halves = [(variable, _half(variable.path, value)) for variable, value in kept]
    try:
        for variable, value in halves:
            variable.assign(value)
        yield chosen
    finally:
        for variable, value in kept:
            variable.assign(value)


def _half(path: str, value: Vector) -> Vector:
    with np.errstate(over="ignore"):
        half = value.astype(np.float16).astype(np.float32)
    if not np.array_equal(np.isfinite(half), np.isfinite(value)):
        largest = np.max(np.abs(value))
        raise ExportError(
            f"{path} holds {largest:g}, beyond the {np.finfo(np.float16).max:g} of float16; "
            "store it as float32"
        )
    return half
