"""Whole rounds: over-selection, deadlines, new attempts, and what a summary counts."""

import numpy as np
import pytest
from pocketfed.protocol.admin import RoundPhase, TaskStatus
from pocketfed.protocol.folding import Sgd
from pocketfed.protocol.messages import Assignment, Outcome, RejectionReason, Report

# For what each database counts, orders, locks or leaves out in a way of its own.
both = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


def tick(server):
    server.server.coordinator.tick(server.clock())


def phases(server):
    return [(round_.round, round_.attempt, str(round_.phase)) for round_ in server.rounds()]


@both
def test_a_round_moves_the_checkpoint_by_the_weighted_mean(server) -> None:
    server.create_task()
    server.phone().serve(server.delta(0.5), num_examples=10)
    server.phone().serve(server.delta(1.0), num_examples=30)
    assert np.array_equal(server.weights(), np.full(16, 1.875, np.float32))


def test_the_server_learning_rate_scales_the_step(server) -> None:
    server.create_task(goal=1, server_optimizer=Sgd(learning_rate=0.5))
    server.phone().serve(server.delta(0.5))
    assert np.array_equal(server.weights(), np.full(16, 1.25, np.float32))


def test_the_next_round_begins_on_the_new_checkpoint(server) -> None:
    server.create_task(goal=1)
    server.phone().serve(server.delta(0.5))
    place = server.phone().check_in()
    assert (place.round, place.attempt) == (2, 1)
    assert place.checkpoint.sha256 == server.admin.history("task").task.checkpoint.sha256


def test_a_device_of_one_round_may_serve_the_next(server) -> None:
    server.create_task(goal=1, over_selection=1.0)
    phone = server.phone()
    for _ in range(3):
        phone.serve(server.delta(0.5))
    assert server.admin.history("task").task.committed == 3


def test_a_task_finishes_after_its_rounds(server) -> None:
    server.create_task(goal=1, rounds=2)
    for _ in range(2):
        server.phone().serve(server.delta(0.5))
    history = server.admin.history("task")
    assert (history.task.status, history.task.current) == (TaskStatus.FINISHED, None)
    assert [one.version for one in history.checkpoints] == [0, 1, 2]
    assert server.phone().check_in().reason is RejectionReason.NO_TASK


def test_more_devices_are_assigned_than_reports_wanted_and_no_more(server) -> None:
    server.create_task(goal=4, over_selection=1.3)
    answers = [server.phone().check_in() for _ in range(8)]
    assert [isinstance(answer, Assignment) for answer in answers] == [True] * 6 + [False] * 2


@both
def test_places_that_came_back_are_given_again_while_reporting(server) -> None:
    server.create_task()
    phones = [server.phone() for _ in range(3)]
    for phone in phones:
        phone.check_in()
    assert server.rounds()[0].phase is RoundPhase.REPORTING
    phones[0].client.abort(phones[0].place.assignment_id)
    assert isinstance(server.phone().check_in(), Assignment)
    assert server.phone().check_in().reason is RejectionReason.ROUND_FULL
    assert server.rounds()[0].assigned == 4


def test_the_goal_ends_a_round_while_others_still_train(server) -> None:
    server.create_task()
    slow = server.phone()
    slow.check_in()
    for _ in range(2):
        server.phone().serve(server.delta(0.5))
    assert phases(server) == [(1, 1, "committed"), (2, 1, "selecting")]


def test_the_selection_clock_does_not_run_before_the_first_device(server) -> None:
    server.create_task()
    server.clock.wait(10_000.0)
    tick(server)
    assert phases(server) == [(1, 1, "selecting")]


@both
def test_too_few_devices_abandon_the_selection(server) -> None:
    server.create_task(goal=4, compute_timeout_s=1000.0)
    server.phone().check_in()
    server.clock.wait(100.0)
    tick(server)
    assert phases(server) == [(1, 1, "abandoned"), (1, 2, "selecting")]
    assert server.rounds()[0].reason == "too_few_devices"


def test_the_minimum_at_the_deadline_is_committed(server) -> None:
    server.create_task()
    server.phone().serve(server.delta(0.5))
    server.clock.wait(100.0)
    tick(server)
    server.clock.wait(300.0)
    tick(server)
    assert phases(server) == [(1, 1, "committed"), (2, 1, "selecting")]
    assert np.array_equal(server.weights(), np.full(16, 1.5, np.float32))


@both
def test_below_the_minimum_the_next_attempt_starts_from_the_same_checkpoint(server) -> None:
    server.create_task(compute_timeout_s=1000.0)
    phone = server.phone()
    first = phone.check_in()
    server.clock.wait(100.0)
    tick(server)
    server.clock.wait(300.0)
    tick(server)
    assert phases(server) == [(1, 1, "abandoned"), (1, 2, "selecting")]
    assert server.rounds()[0].reason == "too_few_reports"
    second = phone.check_in()
    assert (second.round, second.attempt) == (1, 2)
    assert second.checkpoint == first.checkpoint


def test_the_updates_of_an_abandoned_round_are_removed(server) -> None:
    server.create_task(goal=4)
    before = server.blobs()
    server.phone().serve(server.delta(0.5))
    server.clock.wait(100.0)
    tick(server)
    assert server.rounds()[0].phase is RoundPhase.ABANDONED
    assert server.blobs() == before


def test_the_updates_of_a_committed_round_are_removed_and_their_weights_kept(server) -> None:
    server.create_task()
    before = server.blobs()
    for examples in (10, 30):
        server.phone().serve(server.delta(0.5), num_examples=examples)
    newest = server.admin.history("task").task.checkpoint.sha256
    assert server.blobs() == before | {newest}
    weights = [row["num_examples"] for row in server.rows("contributions")]
    assert sorted(weights) == [10, 30]


def test_an_update_that_equals_the_new_checkpoint_does_not_take_it_along(server) -> None:
    server.create_task(goal=1, checkpoint=server.delta(0.0))
    receipt = server.phone().serve(server.delta(0.5))
    assert server.admin.history("task").task.checkpoint.sha256 == receipt.sha256
    assert np.array_equal(server.weights(), np.full(16, 0.5, np.float32))


@both
def test_an_update_that_another_open_round_holds_too_is_kept(server) -> None:
    server.create_task("quick", population="phones", goal=1)
    server.create_task("slow", population="tablets", goal=2)
    tablet = server.phone()
    tablet.check_in("tablets")
    receipt = tablet.deliver(server.delta(0.5))
    server.phone().serve(server.delta(0.5))
    assert server.admin.history("quick").task.committed == 1
    assert receipt.sha256 in server.blobs()


@both
def test_a_place_given_late_in_a_round_expires_on_time(server) -> None:
    server.create_task()
    for _ in range(3):
        server.phone().check_in()
    server.clock.wait(60.0)
    for _ in range(3):
        assert isinstance(server.phone().check_in(), Assignment)
    server.clock.wait(59.0)
    assert server.phone().check_in().reason is RejectionReason.ROUND_FULL
    server.clock.wait(1.0)
    assert isinstance(server.phone().check_in(), Assignment)


@both
def test_a_summary_counts_what_became_of_every_place(server) -> None:
    server.create_task(goal=2, over_selection=4.0, compute_timeout_s=50.0)
    failing, aborting, expiring, late = (server.phone() for _ in range(4))
    for phone in (failing, aborting, expiring):
        phone.check_in()
    failing.client.report(failing.place.assignment_id, Report(outcome=Outcome.FAILED))
    aborting.client.abort(aborting.place.assignment_id)
    server.clock.wait(50.0)
    late.check_in()
    server.phone().serve(server.delta(0.5), num_examples=10, loss=1.0)
    server.phone().serve(server.delta(0.5), num_examples=30, loss=2.0)
    with pytest.raises(Exception, match="closed"):
        late.announce(server.body(0.5))
    summary = server.rounds()[0]
    assert (summary.assigned, summary.accepted, summary.failed) == (6, 2, 2)
    assert (summary.dropped, summary.late) == (1, 1)
    assert (summary.num_examples, summary.train_loss) == (40, 1.75)
    assert summary.bytes_up == 2 * 208
    assert (summary.opened_at, summary.closed_at) == (1_000_000.0, 1_000_050.0)


@both
def test_a_device_that_is_silent_when_its_round_closes_is_counted_as_assigned_alone(
    server,
) -> None:
    server.create_task()
    silent = server.phone()
    silent.check_in()
    for _ in range(2):
        server.phone().serve(server.delta(0.5))
    server.clock.wait(10_000.0)
    tick(server)
    closed = server.rounds()[0]
    assert (closed.assigned, closed.accepted) == (3, 2)
    assert (closed.late, closed.dropped, closed.failed) == (0, 0, 0)


@both
def test_updates_without_a_loss_leave_it_out_of_the_mean(server) -> None:
    server.create_task()
    server.phone().serve(server.delta(0.5), loss=None)
    server.phone().serve(server.delta(0.5), loss=3.0)
    assert server.rounds()[0].train_loss == 3.0


@both
def test_every_transition_leaves_a_row_in_order(server) -> None:
    server.create_task(goal=1)
    server.phone().serve(server.delta(0.5))
    states = [
        (row["seq"], row["state"])
        for row in server.rows("history")
        if (row["entity"], row["entity_id"]) == ("round", "1")
    ]
    assert states == [
        (1, "selecting"),
        (2, "reporting"),
        (3, "aggregating"),
        (4, "committed"),
    ]


def test_a_checkpoint_that_would_overflow_is_not_committed(server) -> None:
    server.create_task(goal=1, server_optimizer=Sgd(learning_rate=1e39))
    server.phone().serve(server.delta(8.0))
    assert phases(server) == [(1, 1, "abandoned"), (1, 2, "selecting")]
    assert server.rounds()[0].reason == "non_finite_checkpoint"
    assert np.array_equal(server.weights(), np.ones(16, np.float32))


def test_a_round_whose_update_was_damaged_on_disk_is_not_committed(server) -> None:
    server.create_task()
    receipt = server.phone().serve(server.delta(0.5))
    (server.data / "blobs" / receipt.sha256).write_bytes(b"not what it was")
    server.phone().serve(server.delta(0.25))
    assert server.rounds()[0].reason == "lost_update"
    assert server.admin.history("task").task.committed == 0


@both
def test_a_coordinator_whose_round_was_claimed_again_does_not_commit(server, monkeypatch) -> None:
    server.create_task(goal=1)
    coordinator = server.server.coordinator
    fold = coordinator._fold
    rivals = iter([True])

    def overtaken(*arguments):
        if next(rivals, False):
            with coordinator._store.write() as tx:
                tx.claim_round(1)
        return fold(*arguments)

    monkeypatch.setattr(coordinator, "_fold", overtaken)
    server.phone().serve(server.delta(0.5))
    assert server.rows("checkpoints")[-1]["version"] == 0
    tick(server)
    assert [row["version"] for row in server.rows("checkpoints")] == [0, 1]


@both
def test_a_stopped_task_abandons_its_round_and_its_updates(server) -> None:
    server.create_task()
    before = server.blobs()
    server.phone().serve(server.delta(0.5))
    summary = server.admin.stop("task")
    assert (summary.status, summary.current) == (TaskStatus.STOPPED, None)
    assert server.rounds()[0].reason == "stopped"
    assert server.blobs() == before


def test_a_task_that_has_ended_stays_as_it_is(server) -> None:
    server.create_task(goal=1, rounds=1)
    server.phone().serve(server.delta(0.5))
    assert server.admin.stop("task").status is TaskStatus.FINISHED
