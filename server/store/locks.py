"""Locks between writers, and the one order in which they are taken.

1. ``operate``: operators, one at a time;
2. ``lock_blob``: names of bytes, several in their order; a name is given, or removed, by one;
3. ``lock_task``, ``lock_task_of``, ``lock_serving_tasks``: a task's row is the lock of its rounds,
   assignments, updates and checkpoints. Whoever reads one of these in order to change it has it
   locked. Several are locked in the order of their ids, by one statement.
   Whoever only looks, as a device does that comes to a full round, needs no lock.

A writer takes at most one step of each number, in this order, so no two can wait for each other;
all end with the transaction. SQLite has one writer at a time and needs none of them.
"""

from __future__ import annotations

from sqlalchemy import func, select

from .connected import Historian

_OPERATE = 0x706F6301


class Locking(Historian):
    def operate(self) -> None:
        """Waits until no other operator changes deposits or names of tasks."""
        self._hold(_OPERATE)

    def lock_blob(self, sha256: str) -> None:
        """Keeps a name to this transaction until it ends: publish and remove only with it.

        On SQLite the transaction is the only writer anyway; elsewhere writers meet here, so that
        none publishes what another is removing because no row of it was committed yet.
        """
        self._hold(int.from_bytes(bytes.fromhex(sha256)[:8], signed=True))

    def _hold(self, number: int) -> None:
        if not self.is_alone:
            self._connection.execute(select(func.pg_advisory_xact_lock(number)))
