"""Held places: an assignment with its round and its task; most of a device's steps rest on one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select

from ..states.rounds import Assignment, Round
from .assignments import assignment_of
from .connected import Connected
from .prepared import Prepared
from .rounds import round_of
from .tables import assignments, rounds, tasks
from .tasks import Task, task_of

_JOINED = (assignments, rounds, tasks)
# The tables share names of columns, so a row is taken apart by position.
_HELD = Prepared(
    select(
        *(column.label(f"{table.name}_{column.name}") for table in _JOINED for column in table.c)
    )
    .select_from(assignments)
    .join(rounds, assignments.c.round_id == rounds.c.id)
    .join(tasks, rounds.c.task_id == tasks.c.id)
    .where(assignments.c.id == bindparam("assignment_id"))
)


class HeldQuestions(Connected):
    def held_place(self, assignment_id: str) -> tuple[Assignment, Round, Task] | None:
        """An assignment with its round and its task, all by one statement."""
        row = self._one(_HELD, assignment_id=assignment_id)
        if row is None:
            return None
        of_assignment, of_round, of_task = _parts(row)
        return assignment_of(of_assignment), round_of(of_round), task_of(of_task)


def _parts(row: Any) -> list[dict[str, Any]]:
    """The columns of each table under their own names."""
    values = iter(row)
    return [dict(zip(table.c.keys(), values, strict=False)) for table in _JOINED]
