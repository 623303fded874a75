"""Rounds to a target, read off a curve as the paper does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pocketfed.paper.curves import monotone, reached_at

CURVES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20)


def test_the_curve_is_the_best_so_far() -> None:
    assert monotone([0.1, 0.5, 0.4, 0.7, 0.6]) == [0.1, 0.5, 0.5, 0.7, 0.7]


def test_between_two_measurements_lies_a_straight_line() -> None:
    assert reached_at([0, 10, 20], [0.5, 0.9, 1.0], 0.95) == pytest.approx(15.0)


def test_a_fall_before_the_target_does_not_count() -> None:
    assert reached_at([0, 1, 2, 3], [0.0, 0.8, 0.2, 1.0], 0.9) == pytest.approx(2.5)


def test_what_is_there_from_the_start_is_reached_at_the_start() -> None:
    assert reached_at([3, 4], [0.9, 0.1], 0.9) == 3.0


def test_what_is_never_there_is_never_reached() -> None:
    assert reached_at([0, 1], [0.2, 0.8], 0.9) is None


@given(CURVES, st.floats(0.0, 1.0))
def test_it_is_reached_between_the_last_point_below_and_the_first_not_below(
    accuracy: list[float], target: float
) -> None:
    reached = reached_at(range(len(accuracy)), accuracy, target)
    first = next((at for at, value in enumerate(accuracy) if value >= target), None)
    if first is None:
        assert reached is None
    else:
        assert reached is not None
        assert max(0, first - 1) <= reached <= first
