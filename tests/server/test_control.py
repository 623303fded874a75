"""A task under the operator's hand: pause, resume, stop, roll back, and evaluations."""

import pytest
from pocketfed.protocol.admin import EvaluationSource, PostEvaluation, RoundPhase, TaskStatus
from pocketfed.protocol.errors import MalformedPayload, NotFound, RoundClosed
from pocketfed.protocol.messages import Assignment, RejectionReason
from pocketfed.protocol.plan import EvaluationSettings


def begin(server, *, versions=0, **changes):
    server.create_task(**{"goal": 1, "over_selection": 2.0, **changes})
    for number in range(versions):
        server.phone().serve(server.delta(0.5 + number))


def post(server, version=0, num_examples=100, **metrics):
    message = PostEvaluation(
        version=version, num_examples=num_examples, metrics=metrics or {"loss": 0.5}
    )
    headers = {"Authorization": f"Bearer {server.server.admin_token}"}
    return server.http.post(
        "/v1/admin/tasks/task/evaluations", content=message.to_json(), headers=headers
    )


def test_a_paused_task_gives_no_places_until_it_is_resumed(server) -> None:
    begin(server)
    assert server.admin.pause("task").status is TaskStatus.PAUSED
    assert server.phone().check_in().reason is RejectionReason.NO_TASK
    assert server.admin.resume("task").status is TaskStatus.RUNNING
    assert isinstance(server.phone().check_in(), Assignment)


def test_a_device_that_holds_a_place_may_finish_after_a_pause(server) -> None:
    begin(server)
    phone = server.phone()
    phone.check_in()
    server.admin.pause("task")
    assert phone.check_in().assignment_id == phone.place.assignment_id
    phone.deliver(server.delta(0.5))
    task = server.admin.history("task").task
    assert (task.status, task.committed) == (TaskStatus.PAUSED, 1)


def test_a_pause_survives_a_restart(server) -> None:
    begin(server)
    server.admin.pause("task")
    server.restart()
    assert server.admin.history("task").task.status is TaskStatus.PAUSED


def test_a_paused_task_finishes_with_its_last_round(server) -> None:
    begin(server, rounds=1)
    phone = server.phone()
    phone.check_in()
    server.admin.pause("task")
    phone.deliver(server.delta(0.5))
    assert server.admin.resume("task").status is TaskStatus.FINISHED


def test_a_paused_task_can_be_stopped_for_good(server) -> None:
    begin(server)
    server.admin.pause("task")
    assert server.admin.stop("task").status is TaskStatus.STOPPED
    for ask in (server.admin.resume, server.admin.pause, server.admin.stop):
        before = server.everything()
        assert ask("task").status is TaskStatus.STOPPED
        assert server.everything() == before


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_asking_for_what_already_is_changes_nothing(server, verb) -> None:
    begin(server)
    getattr(server.admin, verb)("task")
    before = server.everything()
    getattr(server.admin, verb)("task")
    assert server.everything() == before


def test_every_change_of_a_task_leaves_its_trace(server) -> None:
    begin(server)
    for ask in (server.admin.pause, server.admin.resume, server.admin.stop):
        ask("task")
    states = [row["state"] for row in server.rows("history") if row["entity"] == "task"]
    assert states == ["running", "paused", "running", "stopped"]


def test_a_roll_back_is_a_new_version_with_the_old_weights(server) -> None:
    begin(server, versions=3)
    before = server.admin.history("task").checkpoints
    summary = server.admin.roll_back("task", version=1)
    made = summary.checkpoint
    assert (made.version, made.parent, made.rolled_back_from) == (4, 1, 3)
    assert (made.sha256, made.bytes) == (before[1].sha256, before[1].bytes)
    after = server.admin.history("task").checkpoints
    assert after[:4] == before
    assert [one.parent for one in after] == [None, 0, 1, 2, 1]


def test_a_roll_back_abandons_the_round_and_attempts_it_on_the_new_version(server) -> None:
    begin(server, versions=2)
    phone = server.phone()
    phone.check_in()
    current = server.admin.roll_back("task", version=0).current
    assert current is not None
    assert (current.round, current.attempt, current.base_version) == (3, 2, 3)
    abandoned = server.rounds()[2]
    assert (abandoned.phase, abandoned.reason) == (RoundPhase.ABANDONED, "rolled_back")
    with pytest.raises(RoundClosed):
        phone.deliver(server.delta(0.5))


def test_training_goes_on_from_the_weights_of_a_roll_back(server) -> None:
    begin(server, versions=2)
    server.admin.roll_back("task", version=1)
    assert list(server.weights()) == [1.5] * 16
    server.phone().serve(server.delta(0.25))
    assert list(server.weights()) == [1.75] * 16
    newest = server.admin.history("task").task
    assert (newest.checkpoint.version, newest.checkpoint.parent, newest.committed) == (4, 3, 3)


def test_the_same_roll_back_again_changes_nothing(server) -> None:
    begin(server, versions=2)
    server.admin.roll_back("task", version=0)
    before = server.everything()
    assert server.admin.roll_back("task", version=0).checkpoint.version == 3
    assert server.admin.roll_back("task", version=3).checkpoint.version == 3
    assert server.everything() == before


def test_a_roll_back_while_updates_wait_releases_them(server) -> None:
    begin(server, goal=1)
    server.phone().serve(server.delta(0.5))
    server.admin.stop("task")
    server.create_task("two", goal=2)
    for value in (0.5, 0.5, 0.125):
        server.phone().serve(server.delta(value))
    (waiting,) = [row["sha256"] for row in server.rows("updates") if row["is_stored"]]
    assert waiting in server.blobs()
    server.admin.roll_back("two", version=0)
    server.admin.tasks()
    assert waiting not in server.blobs()


def test_a_roll_back_to_no_version_is_not_found(server) -> None:
    begin(server)
    with pytest.raises(NotFound, match="no version 1, the newest is 0"):
        server.admin.roll_back("task", version=1)


def test_a_stopped_task_is_rolled_back_without_a_round(server) -> None:
    begin(server, versions=2)
    server.admin.stop("task")
    summary = server.admin.roll_back("task", version=1)
    assert (summary.checkpoint.version, summary.current) == (3, None)


def test_an_evaluation_goes_on_over_a_roll_back(server) -> None:
    begin(server, versions=2, evaluation=EvaluationSettings())
    server.admin.roll_back("task", version=0)
    rounds = server.admin.history("task").evaluation_rounds
    assert [(one.round, one.phase) for one in rounds] == [(1, RoundPhase.SELECTING)]


def test_what_the_operator_has_measured_is_kept_with_its_time(server) -> None:
    begin(server)
    assert post(server, loss=0.5, accuracy=0.75).status_code == 201
    (found,) = server.admin.history("task").evaluations
    assert (found.version, found.source) == (0, EvaluationSource.OPERATOR)
    assert found.metrics == {"loss": 0.5, "accuracy": 0.75}
    assert (found.num_examples, found.devices, found.at) == (100, 0, server.clock.now)


def test_the_same_evaluation_again_changes_nothing(server) -> None:
    begin(server)
    first = post(server)
    server.clock.wait(5.0)
    before = server.everything()
    again = post(server)
    assert (again.status_code, again.json()) == (200, first.json())
    assert server.everything() == before


def test_another_value_takes_the_place_of_the_older_one(server) -> None:
    begin(server)
    post(server, loss=0.5, accuracy=0.75)
    server.clock.wait(5.0)
    answer = post(server, loss=0.25)
    assert answer.status_code == 201
    (found,) = server.admin.history("task").evaluations
    assert found.metrics == {"loss": 0.25, "accuracy": 0.75}
    assert found.at == server.clock.now


def test_an_evaluation_of_no_version_is_not_found(server) -> None:
    begin(server)
    assert post(server, version=1).status_code == 404


def test_an_evaluation_without_a_metric_is_malformed(server) -> None:
    with pytest.raises(MalformedPayload, match="metrics is empty"):
        PostEvaluation.of({"version": 0, "num_examples": 1, "metrics": {}})


@pytest.mark.parametrize("verb", ["pause", "resume", "rollback", "evaluations"])
def test_only_the_operator_has_a_hand_on_a_task(server, verb) -> None:
    begin(server)
    answer = server.request("POST", f"/v1/admin/tasks/task/{verb}", phone=server.phone())
    assert answer.status_code == 401


def test_an_unknown_task_is_not_found_by_any_verb(server) -> None:
    for ask in (server.admin.pause, server.admin.resume, server.admin.stop):
        with pytest.raises(NotFound):
            ask("nothing")


def test_a_device_that_holds_a_place_of_a_paused_task_is_given_it_again(server) -> None:
    server.create_task()
    phone = server.phone()
    place = phone.check_in()
    server.admin.pause("task")
    assert phone.check_in().assignment_id == place.assignment_id
    phone.deliver(server.delta(0.5))
