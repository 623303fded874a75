"""What a step of a device asks of the database: each statement costs more than all else it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pocketfed.protocol import wire
from pocketfed.server.store import Store, file_url
from sqlalchemy import event
from sqlalchemy.pool import Pool


@contextmanager
def statements(server) -> Iterator[list[str]]:
    """Every statement that runs in the block, but those that begin or end something."""
    server.server.coordinator._store.close()  # so that it connects anew
    seen: list[str] = []

    def note(statement: str) -> None:
        if statement.split()[0] not in {"BEGIN", "SAVEPOINT", "RELEASE", "COMMIT", "ROLLBACK"}:
            seen.append(statement)

    def listen(connection, record, proxy) -> None:
        connection.set_trace_callback(note)

    event.listen(Pool, "checkout", listen)
    try:
        yield seen
    finally:
        event.remove(Pool, "checkout", listen)


@pytest.fixture
def server(rehearse):
    """One whose requests do not tick."""
    return rehearse(coordinator="thread")


def test_a_check_in_takes_twelve_statements(server) -> None:
    server.create_task(goal=9)
    server.phone().check_in()  # starts the clock of the round
    phone = server.phone()
    with statements(server) as seen:
        phone.check_in()
    assert len(seen) == 12, seen


def test_a_check_in_to_a_full_round_takes_eight_statements(server) -> None:
    server.create_task(goal=1, over_selection=1.0)
    server.phone().check_in()
    phone = server.phone()
    with statements(server) as seen:
        phone.check_in()
    assert len(seen) == 8, seen


def test_a_report_takes_four_statements(server) -> None:
    server.create_task()
    phone = server.phone()
    phone.check_in()
    with statements(server) as seen:
        phone.announce(server.body(0.5))
    assert len(seen) == 4, seen


def test_an_upload_takes_seven_statements(server) -> None:
    server.create_task(goal=9)
    phone, body = server.phone(), server.body(0.5)
    phone.check_in()
    phone.announce(body)
    fields = {"Content_Digest": wire.content_digest(wire.sha256(body))}
    with statements(server) as seen:
        assert server.put_update(phone, body, **fields).status_code == 201
    assert len(seen) == 7, seen


def test_a_glance_leaves_its_connection_without_transactions_of_the_drivers_own(tmp_path) -> None:
    store = Store.open(file_url(tmp_path / "glance.sqlite3"), connections=1)
    with store.glance() as view:
        assert view.device("nobody") is None
    with store.read() as view:
        driver = view._connection.connection.driver_connection
        assert driver is not None
        assert driver.isolation_level is None
    store.close()
