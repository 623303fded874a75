"""Connections and transactions: SQLite, one writer at a time, upgraded when it is opened."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from ...protocol.errors import Unavailable
from ..migrations import upgrade
from .connected import Transition
from .reading import Reading
from .writing import Writing

BUSY_TIMEOUT_S = 10
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    f"busy_timeout = {BUSY_TIMEOUT_S * 1000}",
)


class Store:
    """A database; ``read`` and ``write`` are its transactions.

    Writers take turns in this process before they ask SQLite, whose own queue is unfair, and they
    begin IMMEDIATE: a transaction that reads first and writes later would lose to another writer.
    ``notice`` is told the transitions of each transaction once they are durable.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = threading.Lock()
        self.notice: Callable[[Sequence[Transition]], None] = lambda transitions: None

    @classmethod
    def open(cls, path: Path, *, connections: int) -> Store:
        """Opens or creates the database and upgrades it to the newest tables."""
        engine = create_engine(
            URL.create("sqlite", database=str(path)), pool_size=connections, max_overflow=-1
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        _bring_up_to_date(cls(_without_references(engine.url)))
        return cls(engine)

    @contextmanager
    def read(self) -> Iterator[Reading]:
        """One unchanging view of the tables."""
        with self._transaction(is_write=False) as connection:
            yield Reading(connection)

    @contextmanager
    def write(self) -> Iterator[Writing]:
        """All or nothing; durable when the block has ended."""
        with self._writer, self._transaction(is_write=True) as connection:
            tx = Writing(connection)
            yield tx
        if tx.transitions:
            self.notice(tx.transitions)

    def require_ready(self) -> None:
        """Raises Unavailable when the database does not answer."""
        with self._transaction(is_write=False) as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        with self._writer:
            self._engine.dispose()

    @contextmanager
    def _transaction(self, *, is_write: bool) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                connection = connection.execution_options(pocketfed_writes=is_write)
                with connection.begin():
                    yield connection
        except OperationalError as error:
            raise Unavailable("the server's database failed; try again later") from error


def _bring_up_to_date(store: Store) -> None:
    with store._transaction(is_write=True) as connection:
        upgrade(connection)
    store.close()


def _without_references(url: URL) -> Engine:
    """Checks no foreign keys: SQLite changes a table by dropping it, and others refer to its rows.

    They cannot be switched off within the transaction that upgrades.
    """
    engine = create_engine(url, poolclass=NullPool)
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", _begin)
    return engine


def _leave_transactions_to_us(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # no BEGIN of the driver's own: _begin sends it


def _prepare(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    _leave_transactions_to_us(connection, entry)
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    is_write = connection.get_execution_options()["pocketfed_writes"]
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")
