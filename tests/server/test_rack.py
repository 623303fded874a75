"""Connections at hand: whose they are, how many are kept, and what is left open on them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from pocketfed.server.store import file_url
from pocketfed.server.store.convoy import driver_of
from pocketfed.server.store.rack import Rack
from sqlalchemy import create_engine, event, text
from sqlalchemy.pool import NullPool

MOST = 2


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    engine = create_engine(file_url(tmp_path / "rack.sqlite3"), poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _leave_transactions_to_us(connection, entry) -> None:
        connection.isolation_level = None

    rack = Rack(engine, most=MOST)
    with rack.connect() as connection:
        connection.execute(text("CREATE TABLE things (name TEXT)"))
    yield rack
    rack.close()


def things(rack: Rack) -> int:
    with rack.connect() as connection:
        return connection.execute(text("SELECT count(*) FROM things")).scalar_one()


def drivers(rack: Rack, count: int) -> list[sqlite3.Connection]:
    """The connections that so many get at the same time."""
    with ExitStack() as stack:
        return [driver_of(stack.enter_context(rack.connect())) for _ in range(count)]


def is_open(driver: sqlite3.Connection) -> bool:
    try:
        driver.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return False
    return True


def test_a_connection_is_kept_for_the_next(rack) -> None:
    assert drivers(rack, 1) == drivers(rack, 1)


def test_so_many_are_kept_and_the_others_closed(rack) -> None:
    used = drivers(rack, MOST + 2)
    assert len({id(driver) for driver in used}) == MOST + 2
    assert sum(map(is_open, used)) == MOST


def test_a_transaction_of_sqlites_is_undone(rack) -> None:
    with rack.connect() as connection:
        driver_of(connection).execute("BEGIN")
        driver_of(connection).execute("INSERT INTO things VALUES ('lost')")
    assert things(rack) == 0


def test_a_connection_comes_without_a_transaction_of_sqlalchemys(rack) -> None:
    with rack.connect() as connection:
        connection.execute(text("SELECT 1"))
        assert connection.in_transaction()
    with rack.connect() as again:
        assert again is connection
        assert not again.in_transaction()


def test_what_was_interrupted_is_undone_and_its_connection_closed(rack) -> None:
    drivers = []

    def interrupted() -> None:
        with rack.connect() as connection:
            drivers.append(driver_of(connection))
            drivers[0].execute("BEGIN")
            drivers[0].execute("INSERT INTO things VALUES ('lost')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert not is_open(drivers[0])
    assert things(rack) == 0


def test_a_closed_rack_connects_anew(rack) -> None:
    (before,) = drivers(rack, 1)
    rack.close()
    assert not is_open(before)
    assert things(rack) == 0


def test_nobody_gets_what_another_thread_has(rack) -> None:
    taken: set[int] = set()
    guard = threading.Lock()

    def use(_: int) -> bool:
        with rack.connect() as connection:
            with guard:
                is_mine = id(connection) not in taken
                taken.add(id(connection))
            connection.execute(text("SELECT count(*) FROM things"))
            with guard:
                taken.discard(id(connection))
        return is_mine

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(400)))
