"""Locks between writers, and the one order in which they are taken.

1. ``operate``: operators, one at a time;
2. ``keep_blobs`` or ``remove_blobs``: names of bytes are given by many or removed by one;
3. ``lock_task``, ``lock_task_of``, ``lock_running_tasks``: a task's row is the lock of its rounds,
   assignments, updates and checkpoints. Whoever reads one of these in order to change it has it
   locked. Several are locked in the order of their ids, by one statement.

A writer takes at most one step of each number, in this order, so no two can wait for each other;
all end with the transaction. SQLite has one writer at a time and needs none of them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func, select

from .connected import Historian
from .dialects import POSTGRESQL

_OPERATE, _BLOBS = 0x706F6301, 0x706F6302


class Locking(Historian):
    def operate(self) -> None:
        """Waits until no other operator changes deposits or names of tasks."""
        self._hold(func.pg_advisory_xact_lock(_OPERATE))

    def keep_blobs(self) -> None:
        """Whoever gives bytes their name and a row holds this: nobody removes them between."""
        self._hold(func.pg_advisory_xact_lock_shared(_BLOBS))

    def remove_blobs(self) -> None:
        """Waits until every name that was given has its row, and lets nobody give one."""
        self._hold(func.pg_advisory_xact_lock(_BLOBS))

    def _hold(self, lock: ColumnElement[Any]) -> None:
        if self._connection.dialect.name == POSTGRESQL:
            self._connection.execute(select(lock))
