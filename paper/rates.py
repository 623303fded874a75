"""The search for a learning rate: a walk over the grid 10 ** (k / 3) until the best is interior.

The paper sweeps a grid of 11 to 13 rates for each cell, 10 ** (1/3) or 10 ** (1/6) apart, and
checks that the best is not at its rim. A walk from a likely rate to whichever side is better finds
the best of a curve with one valley in fewer runs, and each run may end once it is worse than the
best: when it has taken longer, or is as far behind as one whose model came apart, which stays where
it began.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

# A run that has not arrived after so many times the best run's rounds is worse enough.
LOST = 1.25
# One that is less accurate than the best run was in so many times fewer rounds will not arrive.
BEHIND = 4


class Score(Protocol):
    """What a run tells of its learning rate."""

    @property
    def rounds_to_target(self) -> float | None: ...

    @property
    def best_accuracy(self) -> float: ...


S = TypeVar("S", bound=Score)


def learning_rate(step: float) -> float:
    """The rate at a place of the grid; halves are those of the paper's finer one."""
    return float(10.0 ** (step / 3.0))


def search(measure: Callable[[int, int, S | None], S], *, start: int, most_rounds: int) -> int:
    """Returns the best place of the grid; both its neighbours have been measured.

    ``measure`` takes a place, how many rounds are enough to know that it is worse, and the best run
    so far. Better is who reaches the target sooner, or else who comes closer to it.
    """
    found = {start: measure(start, most_rounds, None)}
    for direction in (+1, -1):
        place = start
        while place == _best(found):
            place += direction
            best = found[_best(found)]
            found[place] = measure(place, _enough(best, most_rounds), best)
    return _best(found)


def _enough(best: Score, most_rounds: int) -> int:
    rounds = best.rounds_to_target
    return most_rounds if rounds is None else min(most_rounds, math.ceil(LOST * rounds))


def _best(found: Mapping[int, Score]) -> int:
    return min(found, key=lambda place: _badness(found[place]))


def _badness(score: Score) -> tuple[float, float]:
    rounds = score.rounds_to_target
    return (math.inf if rounds is None else rounds, -score.best_accuracy)
