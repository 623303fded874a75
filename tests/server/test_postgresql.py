"""Several processes on one PostgreSQL: races end in the protocol's answers, failures in 503."""

from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from pocketfed.protocol import wire
from pocketfed.protocol.errors import MalformedPayload, NameTaken, Unavailable
from pocketfed.protocol.messages import Assignment, Enrolment, RejectionReason
from pocketfed.protocol.plan import Plan
from pocketfed.server import migrations
from pocketfed.server.states import rounds
from pocketfed.server.store import Store


@pytest.fixture
def database(postgresql):
    return postgresql


@pytest.fixture
def other(server):
    """A second server on the same database and folder."""
    made = type(server)(server.folder, clock=server.clock, seed=2, database=server.database)
    yield made
    made.stop()


def together(*calls) -> list[Any]:
    """Runs the calls at the same instant; a call that fails gives its error."""
    barrier = Barrier(len(calls))

    def run(call):
        barrier.wait(10.0)
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def same_phone(server, phone):
    """The same device, as it speaks to another server."""
    again = type(phone)(type(phone.client)(server.session(), device=phone.client.device))
    again.assignment = phone.assignment
    return again


def test_one_device_that_checks_in_twice_at_once_gets_one_place(server, other) -> None:
    server.create_task()
    for _ in range(3):
        phone = server.phone()
        first, second = together(phone.check_in, same_phone(other, phone).check_in)
        assert isinstance(first, Assignment)
        assert first.assignment_id == second.assignment_id
    assert len(server.rows("assignments")) == 3
    assert server.rounds()[0].assigned == 3


def test_two_servers_give_no_place_twice(server, other) -> None:
    server.create_task(goal=4, over_selection=1.25)
    phones = [at.phone() for at in (server, other) for _ in range(6)]
    answers = together(*(phone.check_in for phone in phones))
    assert sum(isinstance(answer, Assignment) for answer in answers) == 5
    assert len(server.rows("assignments")) == 5
    assert not any(isinstance(answer, Exception) for answer in answers)


def test_one_update_that_is_sent_twice_at_once_counts_once(server, other) -> None:
    server.create_task()
    phone = server.phone()
    phone.check_in()
    body = server.body(0.5)
    phone.announce(body)
    twin = same_phone(other, phone)
    answers = together(
        lambda: server.put_update(phone, body).status_code,
        lambda: other.put_update(twin, body).status_code,
    )
    assert sorted(answers) == [200, 201]
    assert len(server.rows("updates")) == 1
    assert server.rounds()[0].accepted == 1


def test_the_last_updates_at_once_end_a_round_once(server, other) -> None:
    server.create_task(goal=4, over_selection=1.0)
    phones = [at.phone() for at in (server, other) for _ in range(2)]
    for phone in phones:
        phone.check_in()
    together(*(lambda one=phone: one.deliver(server.delta(0.5)) for phone in phones))
    server.server.coordinator.tick(server.clock())
    history = server.admin.history("task")
    assert [checkpoint.version for checkpoint in history.checkpoints] == [0, 1]
    assert [str(round_.phase) for round_ in history.rounds] == ["committed", "selecting"]
    assert len(server.rows("contributions")) == 4


def test_two_operators_who_create_one_task_at_once_make_it_once(server, other) -> None:
    summaries = together(server.create_task, other.create_task)
    assert [summary.name for summary in summaries] == ["task", "task"]
    assert len(server.rows("tasks")) == 1
    assert len(server.rows("rounds")) == 1


def test_two_operators_who_take_one_name_at_once_do_not_both_get_it(server, other) -> None:
    answers = together(
        lambda: server.create_task(plan=Plan(epochs=2)),
        lambda: other.create_task(plan=Plan(epochs=3)),
    )
    assert sum(isinstance(answer, NameTaken) for answer in answers) == 1
    assert len(server.rows("tasks")) == 1


def test_processes_that_start_at_once_upgrade_an_empty_database_once(cluster) -> None:
    url = cluster.create(template="template1")
    opened = together(*(lambda: Store.open(url, connections=1) for _ in range(4)))
    for store in opened:
        store.close()
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert cluster.revisions(url) == [scripts.get_current_head()]
    cluster.drop(url)


def test_a_database_that_stops_is_503_and_serves_again_when_it_is_back(server, cluster) -> None:
    server.create_task()
    phone = server.phone()
    cluster.stop()
    try:
        with pytest.raises(Unavailable) as caught:
            phone.check_in()
        assert caught.value.retry_after_s > 0
        answer = server.http.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert server.http.get("/healthz").status_code == 200
    finally:
        cluster.start()
    assert server.http.get("/readyz").status_code == 200
    assert isinstance(phone.check_in(), Assignment)


def test_what_was_acknowledged_before_a_crash_of_the_database_counts(server, cluster) -> None:
    server.create_task()
    receipt = server.phone().serve(server.delta(0.5))
    cluster.stop()
    cluster.start()
    assert [row["sha256"] for row in server.rows("updates")] == [receipt.sha256]
    server.phone().serve(server.delta(0.5))
    assert server.admin.history("task").task.committed == 1


def test_a_connection_that_the_database_has_ended_is_made_anew(server, cluster) -> None:
    server.create_task()
    phone = server.phone()
    cluster.hang_up(server.database)
    assert isinstance(phone.check_in(), Assignment)


def test_text_that_the_database_cannot_hold_is_the_senders_fault(server) -> None:
    phone = server.phone()
    with pytest.raises(MalformedPayload, match="cannot be stored"):
        phone.client.enrol(Enrolment(client_version="1\0"))


def test_a_task_that_is_being_changed_does_not_keep_another_waiting(server, other) -> None:
    server.create_task("one", population="ones")
    server.create_task("two", population="twos")
    with server.server.coordinator._store.write() as tx:
        tx.lock_serving_tasks("ones")
        assert isinstance(other.phone().check_in("twos"), Assignment)


def test_a_device_that_comes_to_a_full_round_waits_for_nobody(server, other) -> None:
    server.create_task(goal=1, over_selection=1.0)
    holder, late = server.phone(), other.phone()
    given = holder.check_in()
    with server.server.coordinator._store.write() as tx:
        tx.lock_serving_tasks("phones")
        answer = late.check_in()
        again = holder.check_in()
    assert answer.reason is RejectionReason.ROUND_FULL
    assert again.assignment_id == given.assignment_id


def test_an_update_that_arrives_while_equal_bytes_are_removed_is_kept(server, other) -> None:
    """The same bytes belonged to a closed round and come again for an open one."""
    server.create_task("done", population="phones", goal=1)
    server.create_task("open", population="tablets")
    tablet = other.phone()
    tablet.check_in("tablets")
    body = wire.encode(server.delta(0.5))
    tablet.announce(body)

    def commit() -> None:
        server.phone().serve(server.delta(0.5))

    together(commit, lambda: other.put_update(tablet, body))
    server.server.coordinator.tick(server.clock())
    assert wire.sha256(body) in server.blobs()


def waits_for(hold, call) -> bool:
    """Whether a call does not end before the transaction that holds a lock has."""
    store, lock = hold
    with ThreadPoolExecutor(1) as pool:
        with store.write() as tx:
            lock(tx)
            waiting = pool.submit(call)
            is_done = bool(wait([waiting], timeout=0.5).done)
        waiting.result(20.0)
    return not is_done


@pytest.mark.parametrize("step", ["check_in", "report", "upload", "abort", "stop", "tick"])
def test_whoever_changes_a_task_waits_for_who_has_it_locked(server, other, step) -> None:
    server.create_task(goal=4)
    phone = other.phone()
    body = server.body(0.5)
    if step != "check_in":
        phone.check_in()
    if step == "upload":
        phone.announce(body)
    if step == "tick":
        server.clock.wait(100.0)
    calls = {
        "check_in": phone.check_in,
        "report": lambda: phone.announce(body),
        "upload": lambda: other.put_update(phone, body),
        "abort": lambda: phone.client.abort(phone.place.assignment_id),
        "stop": lambda: other.admin.stop("task"),
        "tick": lambda: other.server.coordinator.tick(other.clock()),
    }
    hold = (server.server.coordinator._store, lambda tx: tx.lock_task(1))
    assert waits_for(hold, calls[step])


def test_no_bytes_get_a_name_while_others_are_removed(server, other) -> None:
    server.create_task()
    phone = other.phone()
    phone.check_in()
    body = server.body(0.5)
    phone.announce(body)
    store = server.server.coordinator._store
    hold = (store, lambda tx: tx.lock_blob(wire.sha256(body)))
    assert waits_for(hold, lambda: other.put_update(phone, body))


def test_updates_of_a_closed_round_stay_while_an_upload_is_being_named(server, other) -> None:
    store = server.server.coordinator._store
    server.create_task()
    server.phone().serve(server.delta(0.5))
    with store.write() as tx:
        before = tx.round(1)
        tx.move_round(
            before, rounds.on_abandon(before, rounds.AbandonReason.STOPPED, now=1.0), now=1.0
        )
    name = wire.sha256(server.body(0.5))
    sweeper = other.server.coordinator._sweeper
    assert waits_for((store, lambda tx: tx.lock_blob(name)), lambda: sweeper.release(other.clock()))
    assert name not in server.blobs()
