"""Evaluation rounds over the real clients: when they open, what devices send, what comes of it."""

import pytest
from pocketfed.protocol.admin import EvaluationSource, RoundPhase, TaskStatus
from pocketfed.protocol.errors import (
    AssignmentExpired,
    ImplausibleReport,
    MalformedPayload,
    ReportConflict,
    RoundClosed,
)
from pocketfed.protocol.messages import (
    AssignmentState,
    Capabilities,
    CheckIn,
    Fate,
    Outcome,
    RejectionReason,
    Report,
)
from pocketfed.protocol.plan import EvaluationSettings, RoundKind

BOTH = CheckIn(client_version="1", capabilities=Capabilities(kinds=("train", "evaluate")))
JUDGE = CheckIn(client_version="1", capabilities=Capabilities(kinds=("evaluate",)))


def begin(server, *, versions=1, rounds=None, **evaluation):
    """A task with ``versions`` committed rounds; its rounds take one report of three places."""
    server.create_task(
        goal=1, over_selection=3.0, rounds=rounds, evaluation=EvaluationSettings(**evaluation)
    )
    train(server, versions)


def train(server, rounds):
    for _ in range(rounds):
        server.phone().serve(server.delta(0.5))


def measured(loss=0.5, num_examples=10, **changes):
    fields = {
        "outcome": Outcome.COMPLETED,
        "num_examples": num_examples,
        "metrics": {"loss": loss, "accuracy": 1 - loss},
    }
    return Report(**{**fields, **changes})


def judge(server):
    phone = server.phone()
    place = phone.check_in(message=JUDGE)
    assert place.kind is RoundKind.EVALUATE
    return phone


def tell(phone, **changes):
    return phone.client.report(phone.place.assignment_id, measured(**changes))


def evaluation_rounds(server):
    rounds = server.admin.history("task").evaluation_rounds
    return [(one.round, one.attempt, one.phase, one.reason) for one in rounds]


def test_a_task_is_not_evaluated_unless_it_is_asked_for(server) -> None:
    server.create_task(goal=1, over_selection=1.0)
    train(server, 1)
    assert server.phone().check_in(message=JUDGE).reason is RejectionReason.NO_TASK
    assert evaluation_rounds(server) == []


def test_a_committed_version_is_measured_beside_the_next_round(server) -> None:
    begin(server)
    history = server.admin.history("task")
    assert [one.round for one in history.evaluation_rounds] == [1]
    assert history.evaluation_rounds[0].kind is RoundKind.EVALUATE
    assert history.evaluation_rounds[0].base_version == 1
    assert [one.round for one in history.rounds] == [1, 2]
    assert {one.kind for one in history.rounds} == {RoundKind.TRAIN}
    assert history.task.current is not None
    assert history.task.current.round == 2


def test_a_device_that_does_not_say_it_evaluates_trains(server) -> None:
    begin(server)
    assert server.phone().check_in().kind is RoundKind.TRAIN


def test_a_device_that_only_evaluates_is_given_no_training(server) -> None:
    server.create_task(evaluation=EvaluationSettings())
    assert server.phone().check_in(message=JUDGE).reason is RejectionReason.NO_TASK


def test_evaluation_goes_before_training_while_it_has_places(server) -> None:
    begin(server)
    kinds = [server.phone().check_in(message=BOTH).kind for _ in range(6)]
    assert kinds == ["evaluate"] * 3 + ["train"] * 3


def test_an_evaluation_is_of_the_version_it_opened_on(server) -> None:
    begin(server, goal=3)
    first = server.admin.history("task").checkpoints[1]
    train(server, 2)
    place = judge(server).place
    assert (place.round, place.checkpoint.sha256) == (1, first.sha256)


def test_the_means_of_the_devices_are_kept_with_their_numbers(server) -> None:
    begin(server, goal=2)
    first, second = judge(server), judge(server)
    tell(first, loss=0.25, num_examples=30)
    server.clock.wait(5.0)
    tell(second, loss=0.5, num_examples=10)
    history = server.admin.history("task")
    (found,) = history.evaluations
    assert (found.version, found.source, found.devices) == (1, EvaluationSource.PHONES, 2)
    assert found.num_examples == 40
    assert found.metrics == {"loss": 0.3125, "accuracy": 0.6875}
    assert found.at == server.clock.now
    (round_,) = history.evaluation_rounds
    assert (round_.phase, round_.accepted, round_.num_examples) == (RoundPhase.COMMITTED, 2, 40)


def test_a_measurement_is_answered_with_its_fate_and_folded_at_the_end(server) -> None:
    begin(server, goal=2)
    first, second = judge(server), judge(server)
    answer = tell(first)
    assert isinstance(answer, Fate)
    assert answer.state is AssignmentState.MEASURED
    tell(second)
    states = [one.client.fate(one.place.assignment_id).state for one in (first, second)]
    assert states == [AssignmentState.FOLDED] * 2


def test_a_measurement_is_durable_and_counts_once(server) -> None:
    begin(server, goal=2)
    phone = judge(server)
    first = tell(phone)
    before = server.everything()
    server.restart()
    phone.client = type(phone.client)(server.session(), device=phone.client.device)
    assert tell(phone) == first
    assert server.everything() == before


def test_another_measurement_is_a_conflict(server) -> None:
    begin(server, goal=2)
    phone = judge(server)
    tell(phone)
    with pytest.raises(ReportConflict):
        tell(phone, loss=0.75)


def test_a_device_that_has_measured_may_train_next(server) -> None:
    begin(server, goal=2)
    phone = judge(server)
    tell(phone)
    assert phone.check_in(message=BOTH).kind is RoundKind.TRAIN


def test_a_measurement_does_not_expire_while_its_round_waits(server) -> None:
    begin(server, goal=2)
    phone = judge(server)
    tell(phone)
    server.clock.wait(99.0)
    assert phone.client.fate(phone.place.assignment_id).state is AssignmentState.MEASURED


def test_a_measurement_after_its_deadline_is_expired(server) -> None:
    begin(server, goal=2, compute_timeout_s=7.0)
    phone = judge(server)
    assert phone.place.compute_within_s == 7.0
    server.clock.wait(7.0)
    with pytest.raises(AssignmentExpired):
        tell(phone)


def test_a_measurement_for_a_round_that_has_ended_is_late(server) -> None:
    begin(server)
    slow, quick = judge(server), judge(server)
    tell(quick)
    with pytest.raises(RoundClosed):
        tell(slow)


def test_at_the_deadline_the_minimum_suffices(server) -> None:
    begin(server, goal=2, minimum_fraction=0.5, report_timeout_s=50.0)
    phone = judge(server)
    tell(phone, loss=0.25)
    server.clock.wait(100.0)
    server.admin.tasks()
    server.clock.wait(50.0)
    (found,) = server.admin.history("task").evaluations
    assert (found.devices, found.metrics["loss"]) == (1, 0.25)


def test_a_round_without_its_minimum_is_attempted_again(server) -> None:
    begin(server, goal=2, minimum_fraction=1.0)
    judge(server)
    server.clock.wait(100.0)
    assert evaluation_rounds(server) == [
        (1, 1, RoundPhase.ABANDONED, "too_few_devices"),
        (1, 2, RoundPhase.SELECTING, None),
    ]


def test_a_round_without_its_minimum_makes_way_for_a_newer_version(server) -> None:
    begin(server, goal=2, minimum_fraction=1.0)
    judge(server)
    train(server, 2)
    server.clock.wait(100.0)
    assert [one[:3] for one in evaluation_rounds(server)] == [
        (1, 1, RoundPhase.ABANDONED),
        (3, 1, RoundPhase.SELECTING),
    ]


def test_versions_committed_meanwhile_are_passed_over(server) -> None:
    begin(server)
    train(server, 3)
    tell(judge(server))
    assert [one[0] for one in evaluation_rounds(server)] == [1, 4]


def test_only_every_nth_version_is_measured(server) -> None:
    begin(server, versions=5, every=2)
    assert [one[0] for one in evaluation_rounds(server)] == [2]
    tell(judge(server))
    assert [one[0] for one in evaluation_rounds(server)] == [2, 4]


def test_the_last_version_of_a_finished_task_is_still_measured(server) -> None:
    begin(server, rounds=1)
    assert server.admin.history("task").task.status is TaskStatus.FINISHED
    assert server.phone().check_in().reason is RejectionReason.NO_TASK
    tell(judge(server))
    assert [one.version for one in server.admin.history("task").evaluations] == [1]


def test_a_device_that_fails_gives_its_place_back(server) -> None:
    begin(server)
    phone = judge(server)
    fate = phone.client.report(phone.place.assignment_id, Report(outcome=Outcome.FAILED))
    assert fate.state is AssignmentState.FAILED
    assert server.rows("rounds")[2]["assigned"] == 0


def test_metrics_that_nobody_shares_end_the_round_without_an_evaluation(server) -> None:
    begin(server, goal=2, minimum_fraction=1.0)
    first, second = judge(server), judge(server)
    tell(first, metrics={"mine": 1.0})
    tell(second, metrics={"yours": 1.0})
    assert server.admin.history("task").evaluations == ()
    assert evaluation_rounds(server)[0] == (1, 1, RoundPhase.ABANDONED, "nothing_in_common")


def quarrel(server):
    """Two devices measure a version and have nothing in common."""
    for name in ("mine", "yours"):
        tell(judge(server), metrics={name: 1.0})


def test_a_version_that_devices_share_no_metric_of_is_given_up_after_three_attempts(server) -> None:
    begin(server, goal=2, minimum_fraction=1.0)
    for _ in range(3):
        quarrel(server)
    assert evaluation_rounds(server) == [
        (1, attempt, RoundPhase.ABANDONED, "nothing_in_common") for attempt in (1, 2, 3)
    ]
    assert server.phone().check_in(message=JUDGE).reason is RejectionReason.NO_TASK
    train(server, 1)
    assert evaluation_rounds(server)[3] == (2, 1, RoundPhase.SELECTING, None)


def test_attempts_that_too_few_came_to_do_not_count_as_fruitless(server) -> None:
    begin(server, goal=2, minimum_fraction=1.0)
    for _ in range(3):
        judge(server)
        server.clock.wait(100.0)
    for _ in range(2):
        quarrel(server)
    assert evaluation_rounds(server)[-1] == (1, 6, RoundPhase.SELECTING, None)


@pytest.mark.parametrize(
    "changes", [{"num_examples": 101}, {"num_examples": 0}, {"metrics": {}}, {"sha256": "0" * 64}]
)
def test_an_implausible_measurement_changes_nothing(server, changes) -> None:
    begin(server)
    phone = judge(server)
    before = server.everything()
    with pytest.raises(ImplausibleReport):
        phone.client.report(phone.place.assignment_id, measured(**changes))
    assert server.everything() == before


@pytest.mark.parametrize(
    "metrics",
    [{f"m{number}": 1.0 for number in range(17)}, {"x" * 65: 1.0}, {"../x": 1.0}, {"x": 1e31}],
)
def test_metrics_out_of_bounds_are_malformed(server, metrics) -> None:
    begin(server)
    phone = judge(server)
    with pytest.raises(MalformedPayload):
        tell(phone, metrics=metrics)


def test_an_upload_to_an_evaluation_is_a_conflict(server) -> None:
    begin(server, goal=2)
    phone = judge(server)
    body = server.body(0.5)
    assert server.put_update(phone, body).json()["code"] == "report_conflict"
    tell(phone)
    assert server.put_update(phone, body).json()["code"] == "report_conflict"
    assert len(server.rows("updates")) == 1


def test_a_stopped_task_stops_measuring(server) -> None:
    begin(server)
    phone = judge(server)
    server.admin.stop("task")
    assert evaluation_rounds(server) == [(1, 1, RoundPhase.ABANDONED, "stopped")]
    with pytest.raises(RoundClosed):
        tell(phone)


def test_an_evaluation_survives_a_restart_while_it_waits_for_its_means(server) -> None:
    begin(server, goal=2)
    tell(judge(server))
    server.restart()
    tell(judge(server))
    assert [one.devices for one in server.admin.history("task").evaluations] == [2]


def test_stopping_a_finished_task_ends_its_last_evaluation(server) -> None:
    begin(server, rounds=1)
    assert server.admin.stop("task").status is TaskStatus.FINISHED
    assert evaluation_rounds(server) == [(1, 1, RoundPhase.ABANDONED, "stopped")]
    assert server.phone().check_in(message=JUDGE).reason is RejectionReason.NO_TASK
