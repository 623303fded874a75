"""Means over devices: exact, in any order, and of nothing that only a few have sent."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pocketfed.protocol.errors import ImplausibleReport
from pocketfed.protocol.messages import Outcome, Report
from pocketfed.server.coordination.measurements import require_measurement, weighted_means


def measured(value, num_examples=1, name="loss", **changes):
    fields = {"outcome": Outcome.COMPLETED, "num_examples": num_examples, "metrics": {name: value}}
    return Report(**{**fields, **changes})


def test_a_mean_is_weighted_by_examples() -> None:
    found = weighted_means([measured(1.0, 30), measured(2.0, 10)], minimum=1)
    assert found["loss"] == (1.25, 40, 2)


VALUES = st.tuples(st.integers(-(2**20), 2**20).map(lambda n: n / 1024), st.integers(1, 1000))


@given(st.lists(VALUES, min_size=1, max_size=20), st.randoms())
def test_the_order_of_the_reports_changes_no_bit(values, order) -> None:
    first = [measured(value, count) for value, count in values]
    second = list(first)
    order.shuffle(second)
    found = weighted_means(first, minimum=1)
    assert found == weighted_means(second, minimum=1)
    exact = sum(Fraction(value) * count for value, count in values)
    assert found["loss"].value == pytest.approx(float(exact / sum(n for _, n in values)))


def test_sums_that_naive_addition_would_lose_are_kept() -> None:
    reports = [measured(1e16), measured(1.0), measured(-1e16)]
    assert weighted_means(reports, minimum=1)["loss"].value == 1 / 3


def test_the_largest_values_there_may_be_stay_finite() -> None:
    reports = [measured(1e30, 2**24)] * 100
    assert math.isfinite(weighted_means(reports, minimum=1)["loss"].value)


def test_a_metric_of_fewer_devices_than_the_minimum_is_left_out() -> None:
    reports = [measured(1.0), measured(2.0), measured(3.0, name="invented")]
    assert set(weighted_means(reports, minimum=2)) == {"loss"}


def test_a_metric_that_some_have_measured_is_the_mean_of_theirs() -> None:
    both = measured(1.0, 10, metrics={"loss": 1.0, "accuracy": 0.5})
    found = weighted_means([both, measured(3.0, 30)], minimum=1)
    assert found["accuracy"] == (0.5, 10, 1)
    assert found["loss"] == (2.5, 40, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_examples": 0},
        {"num_examples": 101},
        {"metrics": {}},
        {"bytes": 8},
        {"sha256": "0" * 64},
    ],
)
def test_what_no_honest_device_measures_is_refused(changes) -> None:
    require_measurement(measured(1.0, 100), max_examples=100)
    with pytest.raises(ImplausibleReport):
        require_measurement(measured(1.0, **{"num_examples": 100, **changes}), max_examples=100)


def test_a_device_that_failed_need_not_have_measured() -> None:
    require_measurement(Report(outcome=Outcome.FAILED), max_examples=100)
