"""Transactions over an SQLite file or a PostgreSQL database, upgraded when it is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, exc, text

from ...protocol.errors import MalformedPayload, Unavailable
from ..migrations import upgrade
from .connected import Transition
from .dialects import Dialect, Use, dialect_of
from .reading import Reading
from .writing import Writing

# Lost connections, deadlocks, serialization failures, time-outs, full disks, read-only stand-ins:
# as SQLAlchemy raises them, and as the driver does.
_FAILURES = ("OperationalError", "InterfaceError", "InternalError")


class Store:
    """A database; ``read`` and ``write`` are its transactions.

    They raise Unavailable when the database fails, MalformedPayload for text it cannot hold.
    ``notice`` is told the transitions of each transaction once they are durable.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        driver: Any = dialect.engine.dialect.loaded_dbapi
        raising = [getattr(module, name) for module in (exc, driver) for name in _FAILURES]
        self._failures: tuple[type[Exception], ...] = (*raising, exc.TimeoutError)
        self._refusals: tuple[type[Exception], ...] = (exc.DataError, driver.DataError)
        self.notice: Callable[[Sequence[Transition]], None] = lambda transitions: None

    @classmethod
    def open(cls, url: str, *, connections: int, is_flushed: bool = True) -> Store:
        """Opens the database of a URL, creates an SQLite file, and upgrades the tables.

        Commits to a file that is not ``is_flushed`` outlive this process, but no power cut.
        """
        store = cls(dialect_of(url, connections=connections, is_flushed=is_flushed))
        try:
            with store._connected(store._dialect.upgrade) as connection:
                upgrade(connection)
        except BaseException:
            store.close()
            raise
        return store

    @contextmanager
    def read(self) -> Iterator[Reading]:
        """One unchanging view of the tables."""
        with self._connected(self._dialect.read) as connection:
            yield Reading(connection)

    @contextmanager
    def glance(self) -> Iterator[Reading]:
        """As ``read``, for one question alone: it needs no transaction around it."""
        with self._connected(self._dialect.glance) as connection:
            yield Reading(connection)

    @contextmanager
    def write(self) -> Iterator[Writing]:
        """All or nothing; durable when the block has ended."""
        with self._connected(self._dialect.write) as connection:
            tx = Writing(connection)
            yield tx
        if tx.transitions:
            self.notice(tx.transitions)

    def require_ready(self) -> None:
        """Raises Unavailable when the database does not answer."""
        with self._connected(self._dialect.read) as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        self._dialect.close()

    @contextmanager
    def _connected(self, use: Use) -> Iterator[Connection]:
        """A connection, and the failures of the database as errors of ours."""
        try:
            with use() as connection:
                yield connection
        except self._failures as error:
            raise Unavailable("the server's database failed; try again later") from error
        except self._refusals as error:
            reason = "a text holds a character that cannot be stored; send it without"
            raise MalformedPayload(reason) from error
