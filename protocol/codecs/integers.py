"""Codecs that send small integers and one scale per tensor; zero stays zero.

A tensor's scale is its largest magnitude divided by the largest integer, and an element x becomes
``floor(x / scale + u)`` with u uniform in [0, 1), whose mean is x / scale; u = 0.5 rounds to
nearest (Alistarh et al. 2017, QSGD, section 3).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import container, wire
from ..container import F32, Buffer, Field
from ..errors import InvalidEncoding
from ..weights import Vector, WeightEntry, Weights, WeightSpec
from .codec import Codec

SCALES = "__scales__"
_SMALLEST_SCALE = np.finfo(np.float32).tiny
_NEAREST = 0.5

Integers = npt.NDArray[np.int8]


def int8() -> Codec:
    """A signed byte per element, -127 to 127."""

    def encode(delta: Weights, rng: np.random.Generator | None) -> bytes:
        scales, integers = _quantised(delta, largest=127, rng=rng)
        return container.header(_bytes(delta.spec)) + scales.tobytes() + integers.tobytes()

    def decode(body: Buffer, spec: WeightSpec) -> Vector:
        data = container.payload(body, _bytes(spec))
        integers = np.frombuffer(data[_scales_bytes(spec) :], np.int8)
        if integers.size and integers.min() < -127:
            raise InvalidEncoding("int8 goes from -127 to 127, got -128; encode the delta again")
        return _scaled(data, integers, spec)

    return Codec("int8", encode, decode, lambda spec: container.length(_bytes(spec)))


def int4() -> Codec:
    """Two elements per byte, the first in the low half, -7 to 7; every tensor starts a byte."""

    def encode(delta: Weights, rng: np.random.Generator | None) -> bytes:
        scales, integers = _quantised(delta, largest=7, rng=rng)
        packed = [_packed(integers[_slice(entry)]) for entry in delta.spec.entries]
        return b"".join([container.header(_pairs(delta.spec)), scales.tobytes(), *packed])

    def decode(body: Buffer, spec: WeightSpec) -> Vector:
        data = container.payload(body, _pairs(spec))
        return _scaled(data, _unpacked(data[_scales_bytes(spec) :], spec), spec)

    return Codec("int4", encode, decode, lambda spec: container.length(_pairs(spec)))


def _bytes(spec: WeightSpec) -> tuple[Field, ...]:
    tensors = (Field(entry.name, "I8", entry.shape) for entry in spec.entries)
    return Field(SCALES, "F32", (len(spec.entries),)), *tensors


def _pairs(spec: WeightSpec) -> tuple[Field, ...]:
    tensors = (Field(entry.name, "U8", (_pair_count(entry),)) for entry in spec.entries)
    return Field(SCALES, "F32", (len(spec.entries),)), *tensors


def _quantised(
    delta: Weights, *, largest: int, rng: np.random.Generator | None
) -> tuple[Vector, Integers]:
    """The scales of shape [tensors] and the integers of shape [elements]."""
    vector, entries = delta.vector, delta.spec.entries
    wire.require_finite(vector)
    peaks = [np.abs(vector[_slice(entry)]).max(initial=0.0) for entry in entries]
    scales = np.array(peaks, F32) / np.float32(largest)
    # A subnormal scale is too coarse to divide by, and some phones round it to zero.
    scales[scales < _SMALLEST_SCALE] = 0.0
    steps = np.repeat(scales.astype(np.float64), _sizes(delta.spec))
    ratios = np.divide(vector, steps, out=np.zeros(vector.size), where=steps > 0.0)
    ratios += _NEAREST if rng is None else rng.random(vector.size, np.float32)
    # The largest element's ratio may exceed ``largest`` by the rounding of its scale.
    return scales, np.clip(np.floor(ratios), -largest, largest).astype(np.int8)


def _scaled(data: memoryview, integers: Integers, spec: WeightSpec) -> Vector:
    scales = np.frombuffer(data[: _scales_bytes(spec)], F32).astype(np.float32, copy=False)
    bad = np.flatnonzero(~np.isfinite(scales) | np.signbit(scales))
    if bad.size:
        name = spec.entries[bad[0]].name
        raise InvalidEncoding(
            f"the scale of {name!r} is {scales[bad[0]]}, expected a finite one of at least 0; "
            f"encode the delta again"
        )
    with np.errstate(over="ignore", under="ignore"):
        vector = np.multiply(integers, np.repeat(scales, _sizes(spec)), dtype=np.float32)
    wire.require_finite(vector)
    return vector


def _packed(integers: Integers) -> bytes:
    halves = np.zeros(integers.size + integers.size % 2, np.uint8)
    halves[: integers.size] = integers & 0x0F
    return (halves[::2] | halves[1::2] << 4).astype(np.uint8).tobytes()


def _unpacked(data: memoryview, spec: WeightSpec) -> Integers:
    integers = np.empty(spec.size, np.int8)
    begin = 0
    for entry in spec.entries:
        end = begin + _pair_count(entry)
        pairs = np.frombuffer(data[begin:end], np.uint8)
        halves = np.stack([pairs & 0x0F, pairs >> 4], axis=-1).reshape(-1)
        if halves[entry.size :].any():
            raise InvalidEncoding(f"{entry.name!r} ends in a half byte that is not 0; clear it")
        integers[_slice(entry)] = (halves[: entry.size] ^ 8).astype(np.int8) - 8
        begin = end
    if integers.size and integers.min() < -7:
        raise InvalidEncoding("int4 goes from -7 to 7, got -8; encode the delta again")
    return integers


def _sizes(spec: WeightSpec) -> list[int]:
    return [entry.size for entry in spec.entries]


def _slice(entry: WeightEntry) -> slice:
    return slice(entry.offset, entry.offset + entry.size)


def _pair_count(entry: WeightEntry) -> int:
    return (entry.size + 1) // 2


def _scales_bytes(spec: WeightSpec) -> int:
    return len(spec.entries) * F32.itemsize
