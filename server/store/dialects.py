"""What SQLite and PostgreSQL need to keep the same promises.

SQLite: one writer at a time, which begins IMMEDIATE; a transaction that reads first and writes
later would lose to another writer. PostgreSQL: writers run side by side in READ COMMITTED and lock
the rows they rest on (``locks``); readers get one REPEATABLE READ snapshot, as SQLite's do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

BUSY_TIMEOUT_S = 10
POSTGRESQL = "postgresql"
_POOL_TIMEOUT_S = 10
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    f"busy_timeout = {BUSY_TIMEOUT_S * 1000}",
)
# A server that hangs must not hang its phones: each wait for PostgreSQL has an end.
_TIMEOUTS_MS = {
    "statement_timeout": 15_000,
    "lock_timeout": 10_000,
    "idle_in_transaction_session_timeout": 60_000,
}
_CONNECT_ARGS = {
    "connect_timeout": 5,
    "tcp_user_timeout": 15_000,
    "application_name": "pocketfed",
    "options": " ".join(f"-c {name}={value}" for name, value in _TIMEOUTS_MS.items()),
}
_MIGRATION_LOCK = 0x706F636B
# Each statement by itself.
_ALONE: dict[str, object] = {"isolation_level": "AUTOCOMMIT"}
SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


class Dialect(NamedTuple):
    """How an engine connects, and what surrounds its transactions.

    ``writer`` makes the turn of one writer; the options that follow are those of a connection for
    each kind of use. Upgrades run over ``upgrading``; ``prepare_upgrade`` keeps other processes
    from upgrading at the same time, until the transaction ends.
    """

    engine: Engine
    upgrading: Engine
    writer: Callable[[], AbstractContextManager[object]]
    reading: dict[str, object]
    writing: dict[str, object]
    glancing: dict[str, object]
    prepare_upgrade: Callable[[Connection], None]


def file_url(path: Path) -> str:
    """The URL of an SQLite file."""
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def dialect_of(url: str, *, connections: int) -> Dialect:
    """Makes the engine of a database URL; nothing connects yet."""
    if url.startswith(POSTGRESQL):
        return _postgresql(url, connections=connections)
    return _sqlite(url, connections=connections)


def _postgresql(url: str, *, connections: int) -> Dialect:
    engine = create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_S,
        pool_pre_ping=True,
        connect_args=_CONNECT_ARGS,
    )
    return Dialect(engine, engine, nullcontext, SNAPSHOT, {}, _ALONE, _take_upgrade_lock)


def _take_upgrade_lock(connection: Connection) -> None:
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))


def _sqlite(url: str, *, connections: int) -> Dialect:
    engine = create_engine(url, pool_size=connections, max_overflow=-1)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    turn = threading.Lock()
    return Dialect(
        engine,
        _without_references(url),
        lambda: turn,
        {"pocketfed_writes": False},
        {"pocketfed_writes": True},
        {"pocketfed_writes": None},
        lambda connection: None,
    )


def _without_references(url: str) -> Engine:
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
    if is_write is not None:  # a glance begins nothing
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")
