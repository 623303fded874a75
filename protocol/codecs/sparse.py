"""The codec that sends only the largest elements, with their places; the others count as zero."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from .. import container, wire
from ..container import F32, U32, Buffer, Field
from ..errors import InvalidEncoding
from ..weights import Vector, Weights, WeightSpec
from .codec import Codec


def topk(fraction: str) -> Codec:
    """Keeps the ``ceil(fraction * size)`` elements of largest magnitude; ``fraction`` is a decimal.

    The product is exact: in binary floating point 0.07 * 100 would round up to 8.
    """
    share = Fraction(fraction)

    def fields(spec: WeightSpec) -> tuple[Field, ...]:
        kept = math.ceil(share * spec.size)
        return Field("__indices__", "U32", (kept,)), Field("__values__", "F32", (kept,))

    def encode(delta: Weights, rng: np.random.Generator | None) -> bytes:
        wire.require_finite(delta.vector)
        layout = fields(delta.spec)
        indices = _largest(delta.vector, layout[0].shape[0])
        values = delta.vector[indices].astype(F32, copy=False)
        return container.header(layout) + indices.astype(U32).tobytes() + values.tobytes()

    def decode(body: Buffer, spec: WeightSpec) -> Vector:
        layout = fields(spec)
        data = container.payload(body, layout)
        indices = np.frombuffer(data[: layout[0].bytes], U32)
        _require_places(indices, size=spec.size)
        vector = np.zeros(spec.size, np.float32)
        vector[indices] = np.frombuffer(data[layout[0].bytes :], F32)
        wire.require_finite(vector)
        return vector

    def max_bytes(spec: WeightSpec) -> int:
        return container.length(fields(spec))

    return Codec(f"topk:{fraction}", encode, decode, max_bytes, leaves_out=True)


def _largest(vector: Vector, kept: int) -> npt.NDArray[np.intp]:
    """The places of the ``kept`` largest magnitudes, in order; of equal ones the first."""
    magnitudes = np.abs(vector)
    if kept == 0:
        return np.empty(0, np.intp)
    threshold = np.partition(magnitudes, -kept)[-kept]
    above = np.flatnonzero(magnitudes > threshold)
    level = np.flatnonzero(magnitudes == threshold)[: kept - above.size]
    return np.sort(np.concatenate([above, level]))


def _require_places(indices: npt.NDArray[np.uint32], *, size: int) -> None:
    falls = np.flatnonzero(indices[1:] <= indices[:-1])
    if falls.size:
        place = int(falls[0])
        raise InvalidEncoding(
            f"index {indices[place + 1]} comes after {indices[place]}, expected strictly "
            f"increasing ones; sort them and send each once"
        )
    if indices.size and indices[-1] >= size:
        raise InvalidEncoding(f"index {indices[-1]} is beyond the {size} elements of this model")
