"""Buffered tasks as phones and operators meet them: stale updates count, and count less."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from pocketfed.protocol import wire
from pocketfed.protocol.errors import AssignmentExpired, RoundClosed, Unavailable
from pocketfed.protocol.messages import Assignment, CheckIn, Outcome, RejectionReason, Report
from pocketfed.protocol.plan import Buffering, EvaluationSettings

EACH_DATABASE = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


def create(server, *, goal=1, evaluation=None, **buffer):
    buffering = Buffering(**{"concurrency": 2, "max_staleness": 3, **buffer})
    return server.create_task(goal=goal, buffer=buffering, evaluation=evaluation)


def advance(server, versions, *, value=0.0):
    """Phones that come and go commit some versions."""
    for _ in range(versions):
        server.phone().serve(server.delta(value))


def waiting(server):
    """A phone that holds a place on the newest version."""
    phone = server.phone()
    assert isinstance(phone.check_in(), Assignment)
    return phone


def version(server):
    return server.admin.history("task").task.checkpoint.version


@EACH_DATABASE
def test_a_stale_update_counts_less_by_the_versions_it_is_behind(server) -> None:
    create(server)
    slow = waiting(server)
    advance(server, 3)
    slow.deliver(server.delta(0.5), num_examples=77)
    assert np.array_equal(server.weights(), np.full(16, 1.25, np.float32))  # s(3) = 1/2
    last = server.rounds()[3]
    assert (last.phase, last.base_version, last.mean_staleness) == ("committed", 3, 3.0)
    assert [row["staleness"] for row in server.rows("contributions")] == [0, 0, 0, 3]


@EACH_DATABASE
def test_fresh_and_stale_updates_share_a_buffer_by_their_examples(server) -> None:
    create(server, goal=2, concurrency=4)
    slow, slower = waiting(server), waiting(server)
    advance(server, 2)
    slow.deliver(server.delta(1.0), num_examples=30)  # one version behind
    server.phone().serve(server.delta(0.25), num_examples=10)
    expected = 1.0 + (30 * 1.0 / np.sqrt(2.0) + 10 * 0.25) / 40
    np.testing.assert_allclose(server.weights(), expected, rtol=1e-6)
    assert server.rounds()[1].mean_staleness == 0.5
    slower.client.abort(slower.place.assignment_id)
    assert server.rounds()[2].states == {"aborted": 1}


@EACH_DATABASE
def test_a_place_outlives_its_round_and_keeps_its_checkpoint_and_deadline(server) -> None:
    create(server)
    slow = waiting(server)
    first = slow.place
    server.clock.wait(20.0)
    advance(server, 2, value=0.25)
    again = slow.check_in()
    assert again.assignment_id == first.assignment_id
    assert again.checkpoint == first.checkpoint
    assert again.compute_within_s == first.compute_within_s - 20.0
    assert server.rounds()[2].states == {"assigned": 1}
    server.clock.wait(40.0)
    with pytest.raises(AssignmentExpired):
        slow.deliver(server.delta(0.5))


@EACH_DATABASE
def test_a_place_that_has_fallen_too_far_behind_is_late_and_free_again(server) -> None:
    create(server, max_staleness=1)
    slow, fast = waiting(server), waiting(server)
    fast.deliver(server.delta(0.0))
    advance(server, 1)
    fate = slow.client.fate(slow.place.assignment_id)
    assert (fate.state, fate.reason) == ("late", "too_stale")
    with pytest.raises(RoundClosed, match="version 0, which has fallen too far behind"):
        slow.announce(server.body(0.5))
    assert server.admin.funnel("task").steps[1].lost == {"too_stale": 1}
    newcomers = [server.phone().check_in() for _ in range(3)]
    assert [isinstance(one, Assignment) for one in newcomers] == [True, True, False]


@EACH_DATABASE
def test_only_so_many_devices_hold_a_place_at_a_time(server) -> None:
    create(server, goal=3)
    first, _ = waiting(server), waiting(server)
    third = server.phone()
    assert third.check_in().reason is RejectionReason.ROUND_FULL
    first.deliver(server.delta(0.5))
    assert isinstance(third.check_in(), Assignment)
    assert server.phone().check_in().reason is RejectionReason.ROUND_FULL


def test_a_device_has_one_update_in_a_buffer(server) -> None:
    create(server, goal=2)
    phone = waiting(server)
    phone.deliver(server.delta(0.5))
    assert phone.check_in().reason is RejectionReason.ALREADY_TOOK_PART
    advance(server, 1)
    assert isinstance(phone.check_in(), Assignment)


def test_a_device_that_came_late_into_a_buffer_is_in_that_one(server) -> None:
    create(server, goal=2, concurrency=3)
    slow = waiting(server)
    advance(server, 2)
    slow.deliver(server.delta(0.5))
    assert slow.check_in().reason is RejectionReason.ALREADY_TOOK_PART


def test_a_buffer_outlasts_the_selection_and_takes_the_minimum_after_its_time(server) -> None:
    create(server, goal=4)
    phone = waiting(server)
    server.clock.wait(50.0)
    phone.deliver(server.delta(0.5))
    server.clock.wait(250.0)
    waiting(server).deliver(server.delta(0.5))
    assert version(server) == 0
    server.clock.wait(50.0)
    assert version(server) == 1
    assert [one.phase for one in server.rounds()] == ["committed", "selecting"]


def test_while_a_buffer_is_folded_reports_are_taken_and_uploads_come_again(rehearse) -> None:
    server = rehearse(coordinator="thread")  # which nobody starts here
    create(server, concurrency=3)
    slow, fast = waiting(server), waiting(server)
    fast.deliver(server.delta(0.5))
    body = server.body(1.0)
    instruction = slow.announce(body)
    with pytest.raises(Unavailable, match="same update again") as refused:
        slow.client.upload(instruction, body)
    assert refused.value.retry_after_s == 10.0
    assert slow.check_in().assignment_id == slow.place.assignment_id
    assert server.phone().check_in().reason is RejectionReason.ROUND_FULL
    server.changes["coordinator"] = "inline"
    server.restart()
    slow.client = type(slow.client)(server.session(), device=slow.client.device)
    assert version(server) == 1
    slow.client.upload(instruction, body)
    assert version(server) == 2


@EACH_DATABASE
def test_a_buffer_that_the_guard_refuses_leaves_the_places_alone(server) -> None:
    server.create_task(goal=1, max_update_norm=3.0, buffer=Buffering(concurrency=3))
    slow = waiting(server)
    server.phone().serve(server.delta(1.0))  # longer than the guard allows
    assert [one.reason for one in server.rounds()] == ["guard", None]
    slow.deliver(server.delta(0.5))
    assert np.array_equal(server.weights(), np.full(16, 1.5, np.float32))
    assert [row["staleness"] for row in server.rows("contributions")] == [0]


@EACH_DATABASE
def test_a_roll_back_ends_the_places_and_drops_the_buffer(server) -> None:
    create(server, goal=2, concurrency=4)
    slow, other = waiting(server), waiting(server)
    advance(server, 2, value=0.25)
    other.deliver(server.delta(8.0))
    server.admin.roll_back("task", version=0)
    with pytest.raises(RoundClosed, match="closed before"):
        slow.deliver(server.delta(0.5))
    advance(server, 2, value=0.5)
    assert np.array_equal(server.weights(), np.full(16, 1.5, np.float32))
    assert [one.reason for one in server.rounds()] == [None, "rolled_back", None, None]


def test_a_paused_task_gives_no_place_and_takes_what_is_under_way(server) -> None:
    create(server)
    slow, fast = waiting(server), waiting(server)
    server.admin.pause("task")
    fast.deliver(server.delta(0.0))
    slow.deliver(server.delta(0.5))
    assert version(server) == 2
    assert server.phone().check_in().reason is RejectionReason.NO_TASK
    server.admin.resume("task")
    assert waiting(server).place.round == 3


def test_who_holds_a_place_when_the_last_version_is_made_is_too_late(server) -> None:
    server.create_task(goal=1, rounds=1, buffer=Buffering(concurrency=2))
    slow = waiting(server)
    advance(server, 1)
    with pytest.raises(RoundClosed):
        slow.deliver(server.delta(0.5))
    assert version(server) == 1


def test_a_stopped_task_drops_its_buffer(server) -> None:
    create(server, goal=2)
    phone = waiting(server)
    advance(server, 1)
    server.admin.stop("task")
    with pytest.raises(RoundClosed):
        phone.deliver(server.delta(0.5))


def test_devices_that_fail_give_their_place_back_to_others(server) -> None:
    create(server, concurrency=1, goal=2)
    first = waiting(server)
    first.client.report(first.place.assignment_id, Report(outcome=Outcome.FAILED))
    second = waiting(server)
    server.clock.wait(60.0)
    third = waiting(server)
    assert second.client.fate(second.place.assignment_id).state == "expired"
    third.deliver(server.delta(0.5))


def test_versions_of_a_buffered_task_are_measured_as_any(server) -> None:
    create(server, evaluation=EvaluationSettings(goal=1))
    advance(server, 1)
    both = {"kinds": ("train", "evaluate")}
    message = msgspec.convert({"client_version": "1", "capabilities": both}, CheckIn)
    phone = server.phone()
    assert phone.check_in(message=message).kind == "evaluate"
    report = Report(outcome=Outcome.COMPLETED, num_examples=3, metrics={"loss": 0.5})
    phone.client.report(phone.place.assignment_id, report)
    assert [one.metrics for one in server.admin.history("task").evaluations] == [{"loss": 0.5}]


def test_a_task_without_a_buffer_has_no_staleness(server) -> None:
    server.create_task(goal=1)
    advance(server, 1)
    assert server.rounds()[0].mean_staleness is None


def test_a_buffer_of_an_aggregator_without_weights_is_refused(server) -> None:
    message = {"name": "t", "population": "p", "spec": [], "settings": {"buffer": {}}}
    message |= {f"{name}_sha256": "0" * 64 for name in ("model", "manifest", "checkpoint")}
    message["settings"]["aggregator"] = {"kind": "median"}
    head = {"Authorization": f"Bearer {server.server.admin_token}"}
    answer = server.http.post("/v1/admin/tasks", json=message, headers=head)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_payload")
    assert "weighted_mean" in answer.json()["detail"]


def test_an_update_is_counted_once_however_often_and_late_it_is_sent(server) -> None:
    create(server)
    slow = waiting(server)
    advance(server, 1)
    body = server.body(0.5)
    instruction = slow.announce(body)
    first = slow.client.upload(instruction, body)
    advance(server, 1)
    assert slow.client.upload(instruction, body) == first
    assert len(server.rows("updates")) == 3
    assert wire.sha256(body) == first.sha256


def test_the_staleness_of_folded_updates_is_a_metric(server) -> None:
    create(server)
    slow = waiting(server)
    advance(server, 2)
    slow.deliver(server.delta(0.5))
    lines = server.http.get("/metrics").text.splitlines()
    assert 'pocketfed_update_staleness_bucket{le="1.0"} 2.0' in lines
    assert "pocketfed_update_staleness_count 3.0" in lines
    assert "pocketfed_update_staleness_sum 2.0" in lines
