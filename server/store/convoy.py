"""A convoy: writers of SQLite who come at the same time share one transaction and one flush.

SQLite has one writer at a time, and each commit waits for the disk. Whoever finds others waiting
for their turn leaves the transaction open to them; the last one commits for all, and until then
nobody returns. What one of them did is undone alone if it fails.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import cast

from sqlalchemy import Connection

from ...protocol.errors import Unavailable

# So that no one waits long for those who came after.
MOST_WRITERS = 32


class Convoy:
    """Turns of writers, and the transaction that they share."""

    def __init__(self, connect: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._connect = connect
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._shared: _Shared | None = None

    @contextmanager
    def join(self) -> Iterator[Connection]:
        """A connection in whose transaction nobody else writes; durable when the block has ended.

        Raises Unavailable when the commit of another writer in the same transaction fails.
        """
        with self._waiter():
            self._turn.acquire()
        try:
            shared = self._shared = self._shared or _Shared(self._connect)
            try:
                with shared.part():
                    yield shared.connection
            finally:
                if not self._waiting or shared.writers >= MOST_WRITERS or shared.is_lost:
                    self._shared = None
                    shared.commit()
        finally:
            self._turn.release()
        shared.wait()

    @contextmanager
    def _waiter(self) -> Iterator[None]:
        """Those who wait are counted before they do: whoever sees one may leave the rest to it."""
        with self._counting:
            self._waiting += 1
        try:
            yield
        finally:
            with self._counting:
                self._waiting -= 1


class _Shared:
    """One transaction, from the first writer's BEGIN to the last one's COMMIT."""

    def __init__(self, connect: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._resources = ExitStack()
        self.connection = self._resources.enter_context(connect())
        self._driver = driver_of(self.connection)
        self._ended = threading.Event()
        self._is_durable = False
        self.writers = 0
        try:
            self._driver.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._resources.close()
            raise

    @property
    def is_lost(self) -> bool:
        """Whether SQLite has rolled all of it back by itself, as it does when the disk is full."""
        return not self._driver.in_transaction

    @contextmanager
    def part(self) -> Iterator[None]:
        """One writer's share, which is undone by itself."""
        self.writers += 1
        self._driver.execute("SAVEPOINT writer")
        try:
            yield
        except BaseException:
            if not self.is_lost:
                self._driver.execute("ROLLBACK TO writer")
            raise
        finally:
            if not self.is_lost:
                self._driver.execute("RELEASE writer")

    def commit(self) -> None:
        """Ends the transaction for all who took part."""
        try:
            with self._resources:
                if not self.is_lost:
                    self._driver.execute("COMMIT")
                    self._is_durable = True
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Returns when it is durable; raises Unavailable if it was not to be."""
        self._ended.wait()
        if not self._is_durable:
            raise Unavailable("the server's database failed; try again later")


def driver_of(connection: Connection) -> sqlite3.Connection:
    """SQLite's own connection, on which transactions cost nothing but their own work."""
    return cast(sqlite3.Connection, connection.connection.dbapi_connection)
