"""Sums of deltas in 64-bit integers: exact, in any order and from any parts.

A delta is rounded once, to a multiple of 1 / SCALE. Sums of at most ``MAX_MAGNITUDE * SCALE *
TOTAL_LIMIT`` = 2**63 stay exact, so no order of arrival, no split among workers and no crash
between two deltas changes a bit of the result (docs/protocol.md, "The sum").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...protocol.errors import ImplausibleReport
from ...protocol.weights import Vector

SCALE = 2.0**36
MAX_MAGNITUDE = 8.0
TOTAL_LIMIT = 2**24

Update = npt.NDArray[np.float64]

# Elements that are summed at a time: what is read and written of them stays in a core's cache.
_BLOCK = 65_536
# Added to a float64 below 2**51, it leaves the nearest integer, ties to even, in the low bits.
_INTEGER_BITS = np.float64(1.5 * 2**52)


class Partial(NamedTuple):
    """The sum of some deltas: ``total`` in units of 1 / SCALE, and the weight behind it."""

    total: npt.NDArray[np.int64]
    weight: int


def total_of(
    deltas: Iterable[tuple[Vector, int]], *, size: int, discounts: Sequence[float] = ()
) -> Partial:
    """Sums deltas of ``size`` elements times their weights; raises ImplausibleReport beyond the
    limit.

    With ``discounts``, at most 1 and one for each delta, a delta is multiplied by its own before
    it is rounded; its weight stays what it is.
    """
    total, weight = np.zeros(size, np.int64), 0
    for (delta, weighs), discount in _discounted(deltas, discounts):
        weight = _within_limit(weight + weighs)
        _add(total, delta, weighs, scale=SCALE * discount)
    return Partial(total, weight)


def _discounted(
    deltas: Iterable[tuple[Vector, int]], discounts: Sequence[float]
) -> Iterator[tuple[tuple[Vector, int], float]]:
    if not discounts:
        return zip(deltas, repeat(1.0), strict=False)
    return zip(deltas, discounts, strict=True)


def merge(one: Partial, other: Partial) -> Partial:
    """The sum of two sums."""
    return Partial(one.total + other.total, _within_limit(one.weight + other.weight))


def mean(partial: Partial) -> Update:
    """The sum divided by its weight; zero when nothing was summed."""
    quotient: Update = partial.total / (SCALE * max(partial.weight, 1))
    return quotient


def require_moderate(delta: Vector) -> None:
    """Raises ImplausibleReport when an element is too large for the sum."""
    largest = max(delta.max(initial=0.0), -delta.min(initial=0.0))
    if largest > MAX_MAGNITUDE:
        raise ImplausibleReport(
            f"an element of the delta has magnitude {largest:g}, at most {MAX_MAGNITUDE:g}; "
            f"discard this delta"
        )


def _within_limit(weight: int) -> int:
    if weight >= TOTAL_LIMIT:
        raise ImplausibleReport(f"the weights of one round are {weight}, expected < {TOTAL_LIMIT}")
    return weight


def _add(total: npt.NDArray[np.int64], delta: Vector, weight: int, *, scale: float) -> None:
    scaled = np.empty(min(_BLOCK, delta.size), np.float64)
    for start in range(0, delta.size, _BLOCK):
        part = delta[start : start + _BLOCK]
        real = scaled[: part.size]
        real[...] = part
        real *= scale
        real += _INTEGER_BITS
        integer = real.view(np.int64)
        integer -= _INTEGER_BITS.view(np.int64)
        integer *= weight
        total[start : start + _BLOCK] += integer
