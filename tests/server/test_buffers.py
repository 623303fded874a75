"""A buffer as pure values: when it is full, who keeps a place, what a stale update counts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketfed.protocol import folding
from pocketfed.protocol.admin import RoundPhase
from pocketfed.protocol.errors import AssignmentExpired, MalformedPayload, Unavailable
from pocketfed.protocol.messages import AssignmentState, Outcome, Report
from pocketfed.protocol.plan import Buffering, EvaluationSettings, RoundKind, RoundSettings
from pocketfed.server.folding.aggregators import aggregator_of
from pocketfed.server.states import places, rounds
from pocketfed.server.states.staleness import discount

SETTINGS = RoundSettings(
    goal=4,
    minimum_fraction=0.5,
    report_timeout_s=300.0,
    buffer=Buffering(concurrency=3, max_staleness=2),
)
EVENTS = st.lists(
    st.tuples(st.sampled_from(["assign", "release", "accept", "nothing"]), st.floats(0.0, 120.0)),
    max_size=60,
)
SIZE = 5
ELEMENTS = st.floats(min_value=-8.0, max_value=8.0, width=32)
UPDATES = st.lists(
    st.tuples(
        st.lists(ELEMENTS, min_size=SIZE, max_size=SIZE), st.integers(1, 10_000), st.integers(0, 40)
    ),
    min_size=1,
    max_size=10,
)
MEANS = [folding.WeightedMean(), folding.Mean(), folding.WeightedMean(clip_norm=1.5)]
FEW = settings(max_examples=40, deadline=None)


def fresh(**changes):
    opened = rounds.opening(1, SETTINGS, number=3, attempt=1, base_version=7, now=0.0)
    return replace(opened, **{"id": 5, **changes})


def held(**changes):
    fields = {"id": "a", "round_id": 4, "device_id": "d", "assigned_at": 0.0, "ends_at": 60.0}
    return rounds.Assignment(**{**fields, "base_version": 6, **changes})


def announced(**changes):
    report = Report(outcome=Outcome.COMPLETED, num_examples=3, bytes=9, sha256="5" * 64)
    return held(state=AssignmentState.REPORTED, report=report, **changes)


def apply(round_, event):
    """What the store's statements do to the counts of an open round."""
    if event == "assign" and round_.has_places:
        return replace(round_, assigned=round_.assigned + 1)
    if event == "release" and round_.is_open and round_.assigned > round_.accepted:
        return replace(round_, assigned=round_.assigned - 1)
    if event == "accept" and round_.is_open and round_.accepted < round_.assigned:
        return replace(round_, accepted=round_.accepted + 1)
    return round_


def settled(round_, now):
    while (moved := rounds.on_clock(round_, now)) != round_:
        round_ = moved
    return round_


@given(EVENTS)
def test_a_buffer_is_never_abandoned_and_gives_no_place_too_many(events) -> None:
    round_, now = fresh(), 0.0
    for event, wait in events:
        now += wait
        round_ = settled(apply(round_, event), now)
        assert round_.assigned - round_.accepted <= 3
        assert round_.assigned <= round_.capacity
        assert round_.phase is not RoundPhase.ABANDONED
        if round_.is_open:
            assert round_.accepted < round_.goal
        else:
            is_over = now >= round_.report_ends_at
            assert round_.accepted >= (round_.minimum if is_over else round_.goal)


def test_a_buffer_waits_for_its_first_update_as_long_as_it_takes() -> None:
    assert settled(fresh(assigned=3), 1e9) == fresh(assigned=3)
    assert fresh(assigned=3).next_deadline == math.inf


def test_the_minimum_suffices_some_time_after_the_first_update() -> None:
    filling = settled(fresh(assigned=3, accepted=1), 50.0)
    assert (filling.phase, filling.next_deadline) == (RoundPhase.REPORTING, math.inf)
    two = replace(filling, accepted=2)
    assert (settled(two, 349.9), two.next_deadline) == (two, 350.0)
    assert settled(two, 350.0).phase is RoundPhase.AGGREGATING


def test_too_few_updates_at_the_time_out_go_on_waiting() -> None:
    filling = settled(fresh(assigned=3, accepted=1), 50.0)
    assert settled(filling, 1e9) == filling
    assert settled(replace(filling, accepted=2), 1e9).phase is RoundPhase.AGGREGATING


def test_an_update_in_the_buffer_has_left_its_place_free() -> None:
    assert not fresh(assigned=3).has_places
    assert fresh(assigned=3, accepted=1).has_places


@pytest.mark.parametrize(("base_version", "is_kept"), [(7, True), (5, True), (4, False)])
def test_a_place_goes_over_to_the_next_buffer_unless_it_is_too_stale(base_version, is_kept) -> None:
    after = places.on_succession(held(base_version=base_version), fresh())
    assert (after.round_id == 5) == is_kept
    if not is_kept:
        assert (after.state, after.reason) == (AssignmentState.LATE, "too_stale")


def test_while_a_full_buffer_is_folded_reports_are_taken_and_updates_come_again() -> None:
    full = fresh(phase=RoundPhase.AGGREGATING)
    report = announced().report
    assert report is not None
    taken = places.on_report(held(), report, round_=full, upload_timeout_s=30.0, now=1.0)
    assert taken.state is AssignmentState.REPORTED
    with pytest.raises(Unavailable, match="same update again"):
        places.on_upload(announced(), sha256="5" * 64, round_=full, now=1.0)
    with pytest.raises(AssignmentExpired):
        places.on_upload(announced(ends_at=1.0), sha256="5" * 64, round_=full, now=1.0)


def test_a_fresh_update_counts_whole_and_a_stale_one_less() -> None:
    assert [discount(tau, exponent=0.5) for tau in (0, 3, 15, 99)] == [1.0, 0.5, 0.25, 0.1]
    assert discount(9, exponent=0.0) == 1.0


@given(st.integers(0, 10_000), st.floats(0.0, 10.0))
def test_the_discount_is_the_power_of_the_paper(tau, exponent) -> None:
    expected = (1.0 + tau) ** -exponent
    assert discount(tau, exponent=exponent) == pytest.approx(expected, rel=1e-14)


def test_the_discount_has_the_same_bits_everywhere() -> None:
    found = [discount(tau, exponent=0.5).hex() for tau in (1, 2, 4, 6)]
    assert found == [
        "0x1.6a09e667f3bcdp-1",
        "0x1.279a74590331cp-1",
        "0x1.c9f25c5bfedd9p-2",
        "0x1.83091e6a7f7e7p-2",
    ]


def aggregate(kind, updates, *, ways=1):
    discounts = tuple(discount(tau, exponent=0.5) for _, _, tau in updates)
    aggregator = aggregator_of(kind, discounts=discounts)
    deltas = [(np.array(delta, np.float32), n) for delta, n, _ in updates]
    parts = [
        aggregator.fold(share, deltas[share.updates.start : share.updates.stop])
        for share in aggregator.split(len(deltas), SIZE, ways)
    ]
    return aggregator.join(parts)


def formula(kind, updates, reference):
    """sum of n s(tau) delta over sum of n, in float64."""
    n = np.array(
        [n if isinstance(kind, folding.WeightedMean) else 1 for _, n, _ in updates], np.float64
    )
    s = np.array([1.0 / math.sqrt(1.0 + tau) for _, _, tau in updates])
    deltas = np.array([delta for delta, _, _ in updates], np.float64)
    clipped = np.array([reference.clipped(delta, kind.clip_norm) for delta in deltas])
    return (n[:, None] * s[:, None] * clipped).sum(axis=0) / n.sum()


@pytest.mark.parametrize("record", MEANS)
@FEW
@given(updates=UPDATES, random=st.randoms(use_true_random=False), ways=st.integers(1, 5))
def test_any_order_of_arrival_gives_the_formula_to_the_same_bits(
    record, reference, updates, random, ways
) -> None:
    shuffled = list(updates)
    random.shuffle(shuffled)
    found = aggregate(record, updates)
    assert aggregate(record, shuffled, ways=ways).tobytes() == found.tobytes()
    expected = formula(record, updates, reference)
    slack = 2**-36 + (2**-22 if record.clip_norm else 0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=slack)


@pytest.mark.parametrize("kind", ["median", "trimmed_mean"])
def test_an_aggregator_without_weights_is_refused(kind) -> None:
    with pytest.raises(MalformedPayload, match="choose one of them"):
        RoundSettings.of({"goal": 3, "buffer": {}, "aggregator": {"kind": kind}})


@pytest.mark.parametrize(
    "buffer", [{"concurrency": 0}, {"max_staleness": -1}, {"staleness_exponent": -0.5}, {"k": 3}]
)
def test_a_buffer_that_makes_no_sense_is_refused(buffer) -> None:
    with pytest.raises(MalformedPayload, match="buffer"):
        RoundSettings.of({"buffer": buffer})


def test_rounds_that_evaluate_have_no_buffer() -> None:
    both = RoundSettings(goal=10, buffer=Buffering(), evaluation=EvaluationSettings(goal=4))
    opened = rounds.opening(
        1, both, kind=RoundKind.EVALUATE, number=1, attempt=1, base_version=1, now=0.0
    )
    assert (opened.is_buffer, opened.capacity) == (False, 6)
