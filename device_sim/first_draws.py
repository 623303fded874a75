"""First draws of a million streams at once, without a generator for each.

The numbers are those of ``streams.stream``: NumPy's SeedSequence (O'Neill's seed_seq_fe) mixes the
keys, PCG64 (O'Neill 2014, XSL-RR 128/64) draws. Both are integer arithmetic, here on arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .streams import Purpose

Words = npt.NDArray[np.uint32]
Longs = npt.NDArray[np.uint64]
_POOL = 4
_MULTIPLIER = (2549297995355413924, 4865540595714422341)
_LOW_HALF = np.uint64(0xFFFFFFFF)


def first_uniforms(seed: int, purpose: Purpose, *, count: int) -> npt.NDArray[np.float64]:
    """``stream(seed, purpose, key).random()`` for the keys 0 to ``count`` - 1, float64 [count]."""
    keys = np.arange(count, dtype=np.uint32)
    entropy = _words(seed)
    entropy += [0] * (_POOL - len(entropy)) + [int(purpose)]
    pool = _mixed([np.array([word], np.uint32) for word in entropy] + [keys])
    high, low, start_high, start_low = _states(pool)
    one, top = np.uint64(1), np.uint64(63)
    inc_high, inc_low = (start_high << one) | (start_low >> top), (start_low << one) | one
    # The generator is seeded: a step from 0 gives the increment, the state is added, two steps.
    high, low = _sum(high, low, inc_high, inc_low)
    for _ in range(2):
        high, low = _sum(*_times(high, low), inc_high, inc_low)
    drawn = _rotated(high ^ low, high >> np.uint64(58))
    return (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _words(number: int) -> list[int]:
    words = [number & 0xFFFFFFFF]
    while number := number >> 32:
        words.append(number & 0xFFFFFFFF)
    return words


class _Hash:
    """Multiplies and folds words, each time with the next constant of a sequence."""

    def __init__(self, constant: int, factor: int) -> None:
        self._constant, self._factor = constant, factor

    def __call__(self, words: Words) -> Words:
        words = words ^ np.uint32(self._constant)
        self._constant = self._constant * self._factor & 0xFFFFFFFF
        return _folded(words * np.uint32(self._constant))


def _folded(words: Words) -> Words:
    folded: Words = words ^ (words >> np.uint32(16))
    return folded


def _mixed(entropy: list[Words]) -> list[Words]:
    """SeedSequence.mix_entropy."""
    hashed = _Hash(0x43B0D7E5, 0x931E8875)
    pool = [hashed(words) for words in entropy[:_POOL]]
    for source in range(_POOL):
        for to in range(_POOL):
            if source != to:
                pool[to] = _mix(pool[to], hashed(pool[source]))
    for words in entropy[_POOL:]:
        pool = [_mix(into, hashed(words)) for into in pool]
    return pool


def _mix(x: Words, y: Words) -> Words:
    return _folded(x * np.uint32(0xCA01F9DD) - y * np.uint32(0x4973F715))


def _states(pool: list[Words]) -> list[Longs]:
    """SeedSequence.generate_state: four words of 64 bits."""
    hashed = _Hash(0x8B51F9DD, 0x58F38DED)
    halves = [hashed(pool[at % _POOL]).astype(np.uint64) for at in range(8)]
    return [low | (high << np.uint64(32)) for low, high in zip(*[iter(halves)] * 2, strict=True)]


def _sum(high: Longs, low: Longs, other_high: Longs, other_low: Longs) -> tuple[Longs, Longs]:
    total = low + other_low
    return high + other_high + (total < low), total


def _times(high: Longs, low: Longs) -> tuple[Longs, Longs]:
    """128 bits times PCG64's multiplier, modulo 2**128, by products of 32 bits."""
    by_high, by_low = (np.uint64(factor) for factor in _MULTIPLIER)
    a, b = low >> np.uint64(32), low & _LOW_HALF
    c, d = by_low >> np.uint64(32), by_low & _LOW_HALF
    middle = (b * d >> np.uint64(32)) + (a * d & _LOW_HALF) + (b * c & _LOW_HALF)
    carry: Any = a * c + (a * d >> np.uint64(32)) + (b * c >> np.uint64(32))
    return carry + (middle >> np.uint64(32)) + low * by_high + high * by_low, low * by_low


def _rotated(values: Longs, by: Longs) -> Longs:
    right: Longs = (values >> by) | (values << (-by & np.uint64(63)))
    return right
