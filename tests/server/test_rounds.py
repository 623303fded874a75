"""The pure state machines stay on their graphs, whatever happens and whenever."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pocketfed.protocol.admin import RoundPhase
from pocketfed.protocol.errors import AssignmentExpired, ReportConflict
from pocketfed.protocol.messages import AssignmentState, Outcome, Report
from pocketfed.protocol.plan import RoundSettings
from pocketfed.server.states import places, rounds

SELECTING, REPORTING, AGGREGATING, COMMITTED, ABANDONED = RoundPhase
GRAPH = {
    (SELECTING, REPORTING),
    (REPORTING, AGGREGATING),
    (AGGREGATING, COMMITTED),
    (SELECTING, ABANDONED),
    (REPORTING, ABANDONED),
    (AGGREGATING, ABANDONED),
}
SETTINGS = RoundSettings(
    goal=4,
    over_selection=1.5,
    minimum_fraction=0.5,
    selection_timeout_s=100.0,
    report_timeout_s=300.0,
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["assign", "release", "accept", "nothing"]),
        st.floats(min_value=0.0, max_value=120.0),
    ),
    max_size=40,
)


def fresh(**changes):
    opened = rounds.opening(1, SETTINGS, number=1, attempt=1, base_version=0, now=0.0)
    return replace(opened, **changes)


def apply(round_, event):
    """What the store's statements do to the counts of an open round."""
    if not round_.is_open:
        return round_
    if event == "assign" and round_.assigned < round_.capacity:
        return replace(round_, assigned=round_.assigned + 1)
    if event == "release" and round_.assigned > round_.accepted:
        return replace(round_, assigned=round_.assigned - 1)
    if event == "accept" and round_.accepted < round_.assigned:
        return replace(round_, accepted=round_.accepted + 1)
    return round_


def settled(round_, now):
    seen = [round_]
    while (moved := rounds.on_clock(seen[-1], now)) != seen[-1]:
        seen.append(moved)
    return seen


@given(EVENTS)
def test_no_event_at_any_time_leaves_the_graph(events) -> None:
    round_, now = fresh(), 0.0
    for event, wait in events:
        now += wait
        seen = settled(apply(round_, event), now)
        steps = {(a.phase, b.phase) for a, b in pairwise(seen)}
        assert {step for step in steps if step[0] is not step[1]} <= GRAPH
        round_ = seen[-1]


@given(EVENTS)
def test_a_round_that_aggregates_has_enough_and_one_that_is_abandoned_has_not(events) -> None:
    round_, now = fresh(), 0.0
    for event, wait in events:
        now += wait
        round_ = settled(apply(round_, event), now)[-1]
    if round_.phase is AGGREGATING:
        assert round_.accepted >= round_.minimum
    if round_.phase is ABANDONED:
        assert round_.accepted < round_.minimum


@given(EVENTS)
def test_no_round_stays_open_past_both_of_its_deadlines(events) -> None:
    round_, now = fresh(), 0.0
    for event, wait in events:
        now += wait
        round_ = settled(apply(round_, event), now)[-1]
    if round_.selection_ends_at is not None:
        round_ = settled(round_, now + SETTINGS.selection_timeout_s)[-1]
        round_ = settled(round_, now + 1000.0)[-1]
        assert not round_.is_open


def test_the_selection_clock_starts_with_the_first_assignment() -> None:
    assert settled(fresh(), 10_000.0)[-1] == fresh()
    assert rounds.on_clock(fresh(assigned=1), 50.0).selection_ends_at == 150.0


def test_selecting_ends_when_every_place_is_given() -> None:
    assert settled(fresh(assigned=6), 0.0)[-1].phase is REPORTING


def test_selecting_ends_at_its_time_out_with_the_minimum() -> None:
    waiting = fresh(assigned=2, selection_ends_at=100.0)
    assert settled(waiting, 99.9)[-1].phase is SELECTING
    assert settled(waiting, 100.0)[-1].phase is REPORTING


def test_selecting_below_the_minimum_is_abandoned_at_its_time_out() -> None:
    closed = settled(fresh(assigned=1, selection_ends_at=100.0), 100.0)[-1]
    assert (closed.phase, closed.reason, closed.closed_at) == (ABANDONED, "too_few_devices", 100.0)


def test_the_goal_ends_a_round_that_still_selects() -> None:
    phases = [seen.phase for seen in settled(fresh(assigned=4, accepted=4), 0.0)]
    assert phases[-3:] == [SELECTING, REPORTING, AGGREGATING]


@pytest.mark.parametrize(("accepted", "phase"), [(1, ABANDONED), (2, AGGREGATING)])
def test_at_the_reporting_time_out_the_minimum_decides(accepted, phase) -> None:
    waiting = fresh(phase=REPORTING, assigned=6, accepted=accepted, report_ends_at=300.0)
    assert settled(waiting, 299.9)[-1].phase is REPORTING
    assert settled(waiting, 300.0)[-1].phase is phase


def held(**changes):
    fields = {"id": "a", "round_id": 1, "device_id": "d", "assigned_at": 0.0, "ends_at": 60.0}
    return rounds.Assignment(**{**fields, **changes})


DONE = Report(outcome=Outcome.COMPLETED, num_examples=1, bytes=8, sha256="0" * 64)


def reported(place, report=DONE, *, round_=None, now=0.0):
    round_ = round_ or fresh(assigned=1)
    return places.on_report(place, report, round_=round_, upload_timeout_s=30.0, now=now)


def test_a_completed_report_starts_the_upload_clock() -> None:
    moved = reported(held(), now=59.0)
    assert (moved.state, moved.ends_at, moved.report) == (AssignmentState.REPORTED, 89.0, DONE)


def test_the_same_report_again_does_not_extend_the_deadline() -> None:
    first = reported(held(), now=0.0)
    assert reported(first, now=20.0) == first


def test_another_report_is_a_conflict() -> None:
    with pytest.raises(ReportConflict):
        reported(reported(held()), Report(outcome=Outcome.FAILED))


def test_a_report_at_the_deadline_is_too_late() -> None:
    with pytest.raises(AssignmentExpired):
        reported(held(), now=60.0)


def test_a_report_to_a_closed_round_is_noted_as_late() -> None:
    closed = fresh(phase=COMMITTED)
    assert reported(held(), round_=closed).state is AssignmentState.LATE


def test_an_interrupted_device_fails_with_its_outcome_as_the_reason() -> None:
    moved = reported(held(), Report(outcome=Outcome.INTERRUPTED))
    assert (moved.state, moved.reason) == (AssignmentState.FAILED, "interrupted")


def test_an_upload_without_a_report_is_a_conflict() -> None:
    with pytest.raises(ReportConflict, match="report first"):
        places.on_upload(held(), sha256="0" * 64, round_=fresh(assigned=1), now=0.0)


def test_expiry_says_which_step_was_missed() -> None:
    assert places.on_expiry(held()).reason == "compute"
    assert places.on_expiry(reported(held())).reason == "upload"


@pytest.mark.parametrize("state", [AssignmentState.UPLOADED, AssignmentState.FOLDED])
def test_an_accepted_update_cannot_be_aborted(state) -> None:
    assert places.on_abort(held(state=state)).state is state
