"""Transactions over an SQLite file or a PostgreSQL database, upgraded when it is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import (
    DataError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...protocol.errors import MalformedPayload, Unavailable
from ..migrations import upgrade
from .connected import Transition
from .dialects import Dialect, dialect_of
from .reading import Reading
from .writing import Writing

# Lost connections, deadlocks, serialization failures, time-outs, full disks, read-only stand-ins.
_FAILURES = (OperationalError, InterfaceError, InternalError, PoolTimeout)


class Store:
    """A database; ``read`` and ``write`` are its transactions.

    They raise Unavailable when the database fails, MalformedPayload for text it cannot hold.
    ``notice`` is told the transitions of each transaction once they are durable.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._engine = dialect.engine
        self.notice: Callable[[Sequence[Transition]], None] = lambda transitions: None

    @classmethod
    def open(cls, url: str, *, connections: int) -> Store:
        """Opens the database of a URL, creates an SQLite file, and upgrades the tables."""
        dialect = dialect_of(url, connections=connections)
        upgrader = cls(dialect._replace(engine=dialect.upgrading))
        try:
            with upgrader._transaction(is_write=True) as connection:
                dialect.prepare_upgrade(connection)
                upgrade(connection)
        except BaseException:
            upgrader.close()
            raise
        return cls(dialect)

    @contextmanager
    def read(self) -> Iterator[Reading]:
        """One unchanging view of the tables."""
        with self._transaction(is_write=False) as connection:
            yield Reading(connection)

    @contextmanager
    def glance(self) -> Iterator[Reading]:
        """As ``read``, for one question alone: it needs no transaction around it."""
        with self._connection(self._dialect.glancing) as connection:
            yield Reading(connection)

    @contextmanager
    def write(self) -> Iterator[Writing]:
        """All or nothing; durable when the block has ended."""
        with self._dialect.writer(), self._transaction(is_write=True) as connection:
            tx = Writing(connection)
            yield tx
        if tx.transitions:
            self.notice(tx.transitions)

    def require_ready(self) -> None:
        """Raises Unavailable when the database does not answer."""
        with self._transaction(is_write=False) as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        with self._dialect.writer():
            self._engine.dispose()

    @contextmanager
    def _transaction(self, *, is_write: bool) -> Iterator[Connection]:
        options = self._dialect.writing if is_write else self._dialect.reading
        with self._connection(options) as connection, connection.begin():
            yield connection

    @contextmanager
    def _connection(self, options: dict[str, object]) -> Iterator[Connection]:
        """A connection, and the failures of the database as errors of ours."""
        try:
            with self._engine.connect() as connection:
                yield connection.execution_options(**options)
        except _FAILURES as error:
            raise Unavailable("the server's database failed; try again later") from error
        except DataError as error:
            reason = "a text holds a character that cannot be stored; send it without"
            raise MalformedPayload(reason) from error
