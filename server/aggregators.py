"""Aggregators fold the deltas of one round into a single update."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..protocol.errors import ImplausibleReport
from ..protocol.weights import Vector

SCALE = 2.0**36
MAX_MAGNITUDE = 8.0
TOTAL_LIMIT = 2**24

Update = npt.NDArray[np.float64]


class Partial(NamedTuple):
    """What was folded so far: ``total`` in units of 1 / SCALE, and the examples behind it."""

    total: npt.NDArray[np.int64]
    num_examples: int


class Aggregator(NamedTuple):
    """Three pure functions; the caller keeps the partial between calls."""

    init: Callable[[int], Partial]
    accumulate: Callable[[Partial, Vector, int], Partial]
    finalize: Callable[[Partial], Update]


def weighted_mean() -> Aggregator:
    """The mean of the deltas weighted by their examples, exact and independent of their order.

    A delta is rounded once, to a multiple of 1 / SCALE. Sums of at most ``MAX_MAGNITUDE * SCALE *
    TOTAL_LIMIT`` = 2**63 stay exact in 64 bits, so no order of arrival and no crash between two
    deltas changes a bit of the result (docs/protocol.md, "The sum").
    """
    return Aggregator(_nothing, _fold, _mean)


def require_moderate(delta: Vector) -> None:
    """Raises ImplausibleReport when an element is too large for the sum."""
    largest = max(delta.max(initial=0.0), -delta.min(initial=0.0))
    if largest > MAX_MAGNITUDE:
        raise ImplausibleReport(
            f"an element of the delta has magnitude {largest:g}, at most {MAX_MAGNITUDE:g}; "
            f"discard this delta"
        )


def _nothing(size: int) -> Partial:
    return Partial(np.zeros(size, np.int64), 0)


def _fold(partial: Partial, delta: Vector, num_examples: int) -> Partial:
    together = partial.num_examples + num_examples
    if together >= TOTAL_LIMIT:
        raise ImplausibleReport(f"{together} examples in one round, expected under {TOTAL_LIMIT}")
    scaled = np.multiply(delta, SCALE, dtype=np.float64)
    total = np.rint(scaled, out=scaled).astype(np.int64)
    total *= num_examples
    total += partial.total
    return Partial(total, together)


def _mean(partial: Partial) -> Update:
    mean: Update = partial.total / (SCALE * max(partial.num_examples, 1))
    return mean
