"""What the embedded server asks of SQLite."""

import threading

import pytest
from pocketfed.protocol.errors import Unavailable
from pocketfed.server.store import Store, file_url


@pytest.fixture
def store(server):
    server.create_task()
    return server.server.coordinator._store


def pragma(store, name):
    with store._connected(store._dialect.read) as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_the_migrations_keep_the_checks_of_the_tables(store) -> None:
    with store._connected(store._dialect.read) as connection:
        found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master")
        made = {row.name: row.sql for row in found}
    assert "BETWEEN 0 AND capacity" in made["rounds"]
    assert "BETWEEN 0 AND assigned" in made["rounds"]
    assert "WHERE phase NOT IN" in made["ix_rounds_one_under_way"]


def test_the_database_is_durable_and_checks_references(store) -> None:
    assert pragma(store, "journal_mode") == "wal"
    assert pragma(store, "synchronous") == 2
    assert pragma(store, "foreign_keys") == 1
    assert pragma(store, "busy_timeout") == 10_000


def test_two_stores_cannot_write_at_the_same_time(server) -> None:
    """BEGIN IMMEDIATE: the second writer waits before it has read anything."""
    path = server.data / "pocketfed.sqlite3"
    other = Store.open(file_url(path), connections=1)
    order = []
    started = threading.Event()

    def write() -> None:
        started.set()
        with other.write():
            order.append("second")

    thread = threading.Thread(target=write)
    with server.server.coordinator._store.write():
        thread.start()
        started.wait()
        thread.join(0.2)
        order.append("first")
    thread.join()
    other.close()
    assert order == ["first", "second"]


def test_a_database_that_cannot_be_written_is_unavailable(server) -> None:
    server.create_task()
    phone = server.phone()
    store = server.server.coordinator._store
    with store._connected(store._dialect.write) as connection:
        connection.exec_driver_sql("DROP TABLE history")
    with pytest.raises(Unavailable):
        phone.check_in()
    assert server.rows("assignments") == []
