"""Aggregators turn the deltas of one round into a single update.

All have one contract, whether they sum deltas as they come or need all values of an element at
once: the work is cut into shares, shares are folded by anyone in any order, and what comes of them
is joined. Any cut gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce as fold_left
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from ...protocol import folding
from ...protocol.weights import Vector
from . import columns, sums
from .norms import clip
from .sums import Partial, Update

Deltas = Iterable[tuple[Vector, int]]
Part = TypeVar("Part")


class Share(NamedTuple):
    """A part of the work: some of the round's updates, and some of their elements."""

    updates: range
    elements: range


class Aggregator(NamedTuple, Generic[Part]):
    """Three pure functions.

    ``split`` cuts a number of updates of a number of elements into at most so many shares, at least
    one. ``fold`` takes a share and its updates' whole deltas with their numbers of examples; it
    goes over them once. ``join`` takes what came of all shares, in their order.
    """

    split: Callable[[int, int, int], list[Share]]
    fold: Callable[[Share, Deltas], Part]
    join: Callable[[Sequence[Part]], Update]


def weighted_mean(discounts: Sequence[float] = ()) -> Aggregator[Partial]:
    """The mean of the deltas weighted by their examples, exact (``sums``).

    ``discounts``, if there are any, say for each update of the round how much of it counts.
    """

    def fold(share: Share, deltas: Deltas) -> Partial:
        some = discounts[share.updates.start : share.updates.stop]
        return sums.total_of(deltas, size=len(share.elements), discounts=some)

    return Aggregator(_by_updates, fold, _mean)


def mean(discounts: Sequence[float] = ()) -> Aggregator[Partial]:
    """The mean of the deltas, each weighted 1; otherwise as ``weighted_mean``."""
    weighted = weighted_mean(discounts)

    def fold(share: Share, deltas: Deltas) -> Partial:
        return weighted.fold(share, ((delta, 1) for delta, _ in deltas))

    return Aggregator(_by_updates, fold, _mean)


def trimmed_mean(fraction: float, *, scratch: Path | None = None) -> Aggregator[Update]:
    """Per element the mean without ``fraction`` of the values at each end; unweighted."""
    return _columnwise(columns.trimmed_mean(fraction), scratch=scratch)


def median(*, scratch: Path | None = None) -> Aggregator[Update]:
    """The median per element; unweighted."""
    return _columnwise(columns.median, scratch=scratch)


def clipped(inner: Aggregator[Part], *, max_norm: float) -> Aggregator[Part]:
    """Wraps ``inner`` so that no delta is longer than ``max_norm`` (L2)."""

    def fold(share: Share, deltas: Deltas) -> Part:
        return inner.fold(share, ((clip(delta, max_norm=max_norm), n) for delta, n in deltas))

    return Aggregator(inner.split, fold, inner.join)


def aggregator_of(
    chosen: folding.Aggregator, *, scratch: Path | None = None, discounts: Sequence[float] = ()
) -> Aggregator[Any]:
    """The aggregator a task asks for; only means have a use for ``discounts``.

    A delta is clipped before it is discounted.
    """
    inner = _inner(chosen, scratch, discounts)
    if chosen.clip_norm is None:
        return inner
    return clipped(inner, max_norm=chosen.clip_norm)


def _inner(
    chosen: folding.Aggregator, scratch: Path | None, discounts: Sequence[float]
) -> Aggregator[Any]:
    match chosen:
        case folding.WeightedMean():
            return weighted_mean(discounts)
        case folding.Mean():
            return mean(discounts)
        case folding.TrimmedMean(fraction=fraction):
            return trimmed_mean(fraction, scratch=scratch)
        case folding.Median():
            return median(scratch=scratch)


def _mean(partials: Sequence[Partial]) -> Update:
    return sums.mean(fold_left(sums.merge, partials))


def _columnwise(reduce: columns.Reduce, *, scratch: Path | None) -> Aggregator[Update]:
    def fold(share: Share, deltas: Deltas) -> Update:
        return columns.reduce_columns(
            (delta for delta, _ in deltas),
            reduce,
            rows=len(share.updates),
            columns=share.elements,
            scratch=scratch,
        )

    return Aggregator(_by_elements, fold, np.concatenate)


def _by_updates(updates: int, elements: int, ways: int) -> list[Share]:
    return [Share(some, range(elements)) for some in _cut(updates, ways)]


def _by_elements(updates: int, elements: int, ways: int) -> list[Share]:
    return [Share(range(updates), some) for some in _cut(elements, ways)]


def _cut(count: int, ways: int) -> list[range]:
    """``range(count)`` in at most ``ways`` nearly equal pieces; one, empty, for nothing."""
    pieces = max(1, min(count, ways))
    edges = [count * piece // pieces for piece in range(pieces + 1)]
    return [range(first, last) for first, last in pairwise(edges)]
