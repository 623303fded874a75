"""To target: when a curve first met an accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...protocol.record import Record, Seconds


class ToTarget(Record, frozen=True, kw_only=True):
    """What it took: rounds, seconds of the fleet's clock, bytes up and down of all phones.

    None for what a baseline without phones does not have.
    """

    rounds: float
    seconds: Seconds | None = None
    bytes_up: float | None = None
    bytes_down: float | None = None


def crossing(accuracies: Sequence[float], target: float) -> float | None:
    """Where a curve first meets the target, as a place between its points; None where it does not.

    The curve is made monotone, the best accuracy so far, and is straight between evaluations, as in
    McMahan et al. 2016 (arXiv 1602.05629, section 3). Place 2.5 is half-way from point 2 to 3.
    """
    best = np.maximum.accumulate(np.asarray(accuracies, np.float64))
    after = int(np.argmax(best >= target)) if len(best) else 0
    if not len(best) or best[after] < target:
        return None
    if after == 0:
        return 0.0
    below = best[after - 1]
    return after - 1 + float((target - below) / (best[after] - below))


def value_at(place: float, values: Sequence[float]) -> float:
    """A quantity that grows along the curve, at a place between its points."""
    return float(np.interp(place, np.arange(len(values)), np.asarray(values, np.float64)))
