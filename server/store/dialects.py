"""What SQLite and PostgreSQL need to keep the same promises.

SQLite: one writer at a time, which begins IMMEDIATE; a transaction that reads first and writes
later would lose to another writer. PostgreSQL: writers run side by side in READ COMMITTED and lock
the rows they rest on (``locks``); readers get one REPEATABLE READ snapshot, as SQLite's do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, PoolProxiedConnection

from .convoy import Convoy, driver_of
from .rack import Rack

BUSY_TIMEOUT_S = 10
POSTGRESQL = "postgresql"
_POOL_TIMEOUT_S = 10
# What a writer of a convoy may undo alone is kept in memory, not in a file each time.
_PRAGMAS = (
    "journal_mode = WAL",
    "foreign_keys = ON",
    f"busy_timeout = {BUSY_TIMEOUT_S * 1000}",
    "temp_store = MEMORY",
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
SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

Use = Callable[[], AbstractContextManager[Connection]]


class Dialect(NamedTuple):
    """How a database is used: connections within a transaction that ends with the block.

    ``glance`` begins none: each statement by itself. ``upgrade`` keeps other processes from
    upgrading at the same time. ``close`` closes what nobody is using; the next use connects anew.
    """

    engine: Engine
    read: Use
    write: Use
    glance: Use
    upgrade: Use
    close: Callable[[], None]


def file_url(path: Path) -> str:
    """The URL of an SQLite file."""
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def dialect_of(url: str, *, connections: int, is_flushed: bool) -> Dialect:
    """Makes the engine of a database URL; nothing connects yet.

    ``is_flushed`` says of an SQLite file whether each commit waits for the disk.
    """
    if url.startswith(POSTGRESQL):
        return _postgresql(url, connections=connections)
    return _sqlite(url, connections=connections, is_flushed=is_flushed)


def _postgresql(url: str, *, connections: int) -> Dialect:
    engine = create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_S,
        connect_args=_CONNECT_ARGS,
    )
    event.listen(engine, "checkout", _require_open)

    @contextmanager
    def upgrade() -> Iterator[Connection]:
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            yield connection

    return Dialect(
        engine,
        read=engine.execution_options(**SNAPSHOT).begin,
        write=engine.begin,
        glance=engine.execution_options(isolation_level="AUTOCOMMIT").connect,
        upgrade=upgrade,
        close=engine.dispose,
    )


def _require_open(
    connection: DBAPIConnection, entry: ConnectionPoolEntry, proxy: PoolProxiedConnection
) -> None:
    """Makes the pool connect anew when PostgreSQL has hung up: no question need be asked for that.

    The first look may take what it said at parting, the second finds the end.
    """
    try:
        for _ in range(2):
            connection.pgconn.consume_input()
    except connection.Error as error:
        raise DisconnectionError from error


def _sqlite(url: str, *, connections: int, is_flushed: bool) -> Dialect:
    # Named parameters, as psycopg's: ``prepared`` hands both drivers the same mapping.
    engine = create_engine(url, poolclass=NullPool, paramstyle="named")
    event.listen(engine, "connect", partial(_prepare, is_flushed=is_flushed))
    rack = Rack(engine, most=connections)

    @contextmanager
    def read() -> Iterator[Connection]:
        with rack.connect() as connection:
            driver_of(connection).execute("BEGIN")
            yield connection  # the rack ends its transaction

    return Dialect(
        engine,
        read=read,
        write=Convoy(rack.connect).join,
        glance=rack.connect,
        upgrade=partial(_upgrading, url),
        close=rack.close,
    )


@contextmanager
def _upgrading(url: str) -> Iterator[Connection]:
    """Checks no foreign keys: SQLite changes a table by dropping it, and others refer to its rows.

    They cannot be switched off within the transaction that upgrades.
    """
    engine = create_engine(url, poolclass=NullPool)
    event.listen(engine, "connect", _leave_transactions_to_us)
    try:
        with engine.begin() as connection:
            driver_of(connection).execute("BEGIN IMMEDIATE")
            yield connection
    finally:
        engine.dispose()


def _leave_transactions_to_us(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # no BEGIN of the driver's own


def _prepare(connection: DBAPIConnection, entry: ConnectionPoolEntry, *, is_flushed: bool) -> None:
    _leave_transactions_to_us(connection, entry)
    cursor = connection.cursor()
    for pragma in (*_PRAGMAS, f"synchronous = {'FULL' if is_flushed else 'OFF'}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
