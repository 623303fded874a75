"""Codecs that keep every element as a floating-point number."""

from __future__ import annotations

import numpy as np

from .. import container, wire
from ..container import F16, Buffer, Field
from ..weights import Vector, Weights, WeightSpec
from .codec import Codec

_LARGEST_HALF = float(np.finfo(np.float16).max)


def float32() -> Codec:
    """The delta as it is, byte for byte like a checkpoint."""

    def encode(delta: Weights, rng: np.random.Generator | None) -> bytes:
        wire.require_finite(delta.vector)
        return wire.encode(delta)

    def decode(body: Buffer, spec: WeightSpec) -> Vector:
        vector = wire.decode(body, spec).vector
        wire.require_finite(vector)
        return vector

    return Codec("float32", encode, decode, wire.encoded_bytes)


def float16() -> Codec:
    """Halves, always rounded to nearest even; what is too large becomes the largest half."""

    def encode(delta: Weights, rng: np.random.Generator | None) -> bytes:
        wire.require_finite(delta.vector)
        halves = np.clip(delta.vector, -_LARGEST_HALF, _LARGEST_HALF).astype(F16)
        return container.header(_halves(delta.spec)) + halves.tobytes()

    def decode(body: Buffer, spec: WeightSpec) -> Vector:
        vector = np.frombuffer(container.payload(body, _halves(spec)), F16).astype(np.float32)
        wire.require_finite(vector)
        return vector

    return Codec("float16", encode, decode, lambda spec: container.length(_halves(spec)))


def _halves(spec: WeightSpec) -> tuple[Field, ...]:
    return tuple(Field(entry.name, "F16", entry.shape) for entry in spec.entries)
