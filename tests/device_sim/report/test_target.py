"""To target: the monotone curve, straight between its evaluations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pocketfed.device_sim.report.target import crossing, value_at


def test_the_target_lies_between_two_evaluations() -> None:
    place = crossing([0.1, 0.5, 0.9], 0.7)
    assert place == pytest.approx(1.5)
    assert value_at(1.5, [0, 10, 30]) == 20.0


def test_a_curve_that_falls_back_keeps_its_best() -> None:
    # From the best so far, 0.6, not from the 0.2 just before.
    assert crossing([0.6, 0.2, 0.8], 0.7) == pytest.approx(1.5)


def test_the_first_time_counts() -> None:
    assert crossing([0.0, 0.8, 0.1, 0.9], 0.8) == 1.0


def test_a_model_that_starts_above_the_target_needs_nothing() -> None:
    assert crossing([0.8, 0.9], 0.5) == 0.0


def test_a_target_that_is_never_met_has_no_place() -> None:
    assert crossing([0.1, 0.2], 0.3) is None
    assert crossing([], 0.3) is None


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20), st.floats(0.0, 1.0))
def test_a_place_is_where_the_best_so_far_is_the_target(curve, target) -> None:
    place = crossing(curve, target)
    best = [max(curve[: at + 1]) for at in range(len(curve))]
    if max(curve) < target:
        assert place is None
    else:
        assert place is not None
        assert value_at(place, best) == pytest.approx(max(target, curve[0]), abs=1e-9)
