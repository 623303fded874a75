"""The weighted mean is exact, and no order of arrival changes a bit of it."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pocketfed.protocol.errors import ImplausibleReport
from pocketfed.server.aggregators import (
    MAX_MAGNITUDE,
    SCALE,
    TOTAL_LIMIT,
    require_moderate,
    weighted_mean,
)
from pocketfed.server.optimizers import sgd

ELEMENTS = st.floats(min_value=-MAX_MAGNITUDE, max_value=MAX_MAGNITUDE, width=32)
REPORTS = st.lists(
    st.tuples(st.lists(ELEMENTS, min_size=3, max_size=3), st.integers(1, 10_000)),
    min_size=1,
    max_size=12,
)


def fold(reports):
    mean = weighted_mean()
    partial = mean.init(3)
    for delta, num_examples in reports:
        partial = mean.accumulate(partial, np.array(delta, np.float32), num_examples)
    return mean.finalize(partial)


@given(REPORTS, st.randoms(use_true_random=False))
def test_any_order_gives_the_same_bits(reports, random) -> None:
    shuffled = list(reports)
    random.shuffle(shuffled)
    assert fold(reports).tobytes() == fold(shuffled).tobytes()


@given(REPORTS)
def test_the_sum_is_the_exact_sum_of_the_rounded_deltas(reports) -> None:
    examples = sum(num_examples for _, num_examples in reports)
    for index, element in enumerate(fold(reports)):
        exact = sum(
            Fraction(round(Fraction(delta[index]) * 2**36), 2**36) * num_examples
            for delta, num_examples in reports
        )
        assert element == pytest.approx(float(exact / examples), rel=2**-51, abs=0.0)


@given(REPORTS)
def test_the_mean_is_within_one_unit_of_the_true_one(reports) -> None:
    examples = sum(num_examples for _, num_examples in reports)
    for index, element in enumerate(fold(reports)):
        true = math.fsum(delta[index] * num_examples for delta, num_examples in reports)
        assert abs(element - true / examples) <= 1 / SCALE


def test_the_largest_sum_that_is_admitted_does_not_overflow() -> None:
    mean = weighted_mean()
    largest = np.array([MAX_MAGNITUDE, -MAX_MAGNITUDE], np.float32)
    partial = mean.accumulate(mean.init(2), largest, TOTAL_LIMIT - 1)
    assert mean.finalize(partial).tolist() == [MAX_MAGNITUDE, -MAX_MAGNITUDE]


def test_more_examples_than_the_sum_can_hold_are_refused() -> None:
    mean = weighted_mean()
    delta = np.zeros(1, np.float32)
    partial = mean.accumulate(mean.init(1), delta, TOTAL_LIMIT - 1)
    with pytest.raises(ImplausibleReport):
        mean.accumulate(partial, delta, 1)


def test_folding_leaves_the_earlier_partial_as_it_was() -> None:
    mean = weighted_mean()
    start = mean.init(1)
    mean.accumulate(start, np.ones(1, np.float32), 1)
    assert start.total.tolist() == [0]


@pytest.mark.parametrize("extreme", [8.001, -8.001])
def test_an_element_beyond_eight_is_refused(extreme) -> None:
    with pytest.raises(ImplausibleReport, match="magnitude"):
        require_moderate(np.array([0.0, extreme], np.float32))


@pytest.mark.parametrize("edge", [8.0, -8.0])
def test_an_element_of_eight_is_taken(edge) -> None:
    require_moderate(np.array([0.0, edge], np.float32))


def test_sgd_adds_the_update_times_its_learning_rate() -> None:
    after = sgd(0.5).step(np.array([1.0, 2.0], np.float32), np.array([1.0, -4.0]))
    assert after.tolist() == [1.5, 0.0]
    assert after.dtype == np.float32
