"""The walk over the learning rates ends at the best, and spends little on the others."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pocketfed.paper.rates import learning_rate, search


@dataclass
class Valley:
    """Rounds to the target grow by a half with each step away from ``best``."""

    best: int
    reaches: bool = True

    def __post_init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def measure(self, place: int, rounds: int, best: "Found | None") -> "Found":
        assert (best is None) == (not self.asked)
        self.asked.append((place, rounds))
        distance = abs(place - self.best)
        needed = 100.0 * 1.5**distance
        if self.reaches and needed <= rounds:
            return Found(needed, 0.97)
        return Found(None, 0.9 - distance / 100)


@dataclass
class Found:
    rounds_to_target: float | None
    best_accuracy: float


@given(st.integers(-6, 6), st.integers(-6, 6), st.booleans())
def test_it_ends_at_the_best_with_both_neighbours_measured(
    best: int, start: int, reaches: bool
) -> None:
    valley = Valley(best, reaches)
    assert search(valley.measure, start=start, most_rounds=10**6) == best
    assert {best - 1, best, best + 1} <= {place for place, _ in valley.asked}


def test_no_rate_is_measured_twice_or_far_beyond_the_best() -> None:
    valley = Valley(0)
    search(valley.measure, start=0, most_rounds=1000)
    assert sorted(place for place, _ in valley.asked) == [-1, 0, 1]


def test_a_worse_rate_gets_no_more_rounds_than_show_that_it_is_worse() -> None:
    valley = Valley(0)
    search(valley.measure, start=0, most_rounds=1000)
    assert [rounds for _, rounds in valley.asked] == [1000, 125, 125]


def test_three_places_of_the_grid_are_a_factor_of_ten() -> None:
    assert learning_rate(0) == 1.0
    assert learning_rate(-3) == pytest.approx(0.1)
    assert learning_rate(1) == pytest.approx(2.1544, abs=1e-4)
