"""A rack: connections to an SQLite file that stay open, each at hand for the next who needs one.

A pool of SQLAlchemy's asks each connection back, resets it and hands it out anew with a wrapper
of its own; most requests here ask two or three short questions, and that took as long as they do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from .convoy import driver_of


class Rack:
    """Connections of an engine that pools none itself; ``most`` are kept while nobody has them."""

    def __init__(self, engine: Engine, *, most: int) -> None:
        self._engine = engine
        self._most = most
        self._idle: list[Connection] = []  # each operation on it is one, also among threads

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection for one at a time; what it left open is undone when the block has ended."""
        connection = self._taken()
        try:
            yield connection
            _end_transaction(connection)
        except BaseException:
            connection.close()
            raise
        self._put_back(connection)

    def close(self) -> None:
        """Closes what is at hand; who connects later opens a connection of its own."""
        while self._idle:
            self._idle.pop().close()

    def _taken(self) -> Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._engine.connect()

    def _put_back(self, connection: Connection) -> None:
        if len(self._idle) < self._most:
            self._idle.append(connection)
        else:
            connection.close()


def _end_transaction(connection: Connection) -> None:
    """As SQLAlchemy sees it, and as SQLite does: only one of them may know of a transaction."""
    if connection.in_transaction():
        connection.rollback()
    driver = driver_of(connection)
    if driver.in_transaction:
        driver.execute("ROLLBACK")
