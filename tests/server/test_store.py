"""Both databases: their tables, their guarantees, and that migrations lead to them."""

import sqlite3
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pocketfed.server.states import rounds
from pocketfed.server.states.rounds import Assignment
from pocketfed.server.store import DeviceRow
from pocketfed.server.store.tables import metadata
from psycopg.errors import UniqueViolation
from sqlalchemy.exc import IntegrityError

NOT_UNIQUE = (IntegrityError, sqlite3.IntegrityError, UniqueViolation)
pytestmark = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def store(server):
    server.create_task()
    return server.server.coordinator._store


def test_the_migrations_lead_to_the_tables(store) -> None:
    with store._connected(store._dialect.read) as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        ours = [
            change
            for change in compare_metadata(context, metadata)
            if "alembic_version" not in str(change)
        ]
    assert ours == []


def test_opening_a_database_again_changes_nothing(store, server) -> None:
    before = server.everything()
    server.restart()
    assert server.everything() == before


def test_a_failure_within_a_transaction_undoes_all_of_it(store, server) -> None:
    before = server.everything()

    def fail() -> None:
        with store.write() as tx:
            tx.take_place(1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert server.everything() == before


def add(tx, number, *, device="d", round_id=1):
    tx.add_assignment(
        Assignment(
            id=f"a{number}", round_id=round_id, device_id=device, assigned_at=0.0, ends_at=1.0
        )
    )


def test_a_device_has_one_assignment_per_round(store) -> None:
    with store.write() as tx:
        tx.add_device(DeviceRow(id="d", token_sha256="0", client_version="1", enrolled_at=0.0))
        add(tx, 1)
    with pytest.raises(NOT_UNIQUE), store.write() as tx:
        add(tx, 2)


def test_a_task_has_one_round_under_way(store, server) -> None:
    again = rounds.opening(1, server.settings(), number=1, attempt=2, base_version=0, now=0.0)
    with pytest.raises(NOT_UNIQUE), store.write() as tx:
        tx.add_round(again)


def test_a_transition_from_a_state_that_has_passed_is_refused(store) -> None:
    with store.write() as tx:
        before = tx.round(1)
        tx.move_round(
            before, rounds.on_abandon(before, rounds.AbandonReason.STOPPED, now=1.0), now=1.0
        )
    with pytest.raises(Exception, match="another writer was faster"), store.write() as tx:
        tx.move_round(before, rounds.on_commit(before, now=2.0), now=2.0)


def test_writers_take_turns_and_give_no_place_twice(store) -> None:
    given = []

    def take() -> None:
        for _ in range(5):
            with store.write() as tx:
                given.append(tx.take_place(1) is not None)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(given) == 3


def test_reading_sees_one_moment(store) -> None:
    with store.read() as view:
        before = view.round(1)
        with store.write() as tx:
            tx.take_place(1)
        assert view.round(1) == before
    with store.read() as view:
        assert view.round(1).assigned == 1
