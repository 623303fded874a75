"""What the paper reads off a curve of test accuracy (arXiv 1602.05629, section 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def monotone(accuracy: Sequence[float]) -> list[float]:
    """The best accuracy so far, at each point."""
    best: list[float] = np.maximum.accumulate(np.asarray(accuracy, float)).tolist()
    return best


def reached_at(
    positions: Sequence[float], accuracy: Sequence[float], target: float
) -> float | None:
    """Where the monotone curve first crosses ``target``, between measurements by a straight line.

    ``positions`` are rounds, bytes or seconds, ascending. None when it never does.
    """
    best = monotone(accuracy)
    for place, value in enumerate(best):
        if value >= target:
            if place == 0 or value == best[place - 1]:
                return float(positions[place])
            share = (target - best[place - 1]) / (value - best[place - 1])
            return positions[place - 1] + share * (positions[place] - positions[place - 1])
    return None
