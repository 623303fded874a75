"""Assignments: the places devices hold, and when they should be done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, func, insert, not_, select, update

from ...protocol.messages import AssignmentState, Report
from ..states import rounds as machine
from ..states.rounds import Assignment
from .connected import Connected, Historian, is_one_of
from .prepared import Prepared
from .tables import assignments, rounds, tasks

_ASSIGNMENT = Prepared(select(assignments).where(assignments.c.id == bindparam("assignment_id")))
_ASSIGNMENT_FOR = Prepared(
    select(assignments).where(
        assignments.c.device_id == bindparam("device_id"),
        assignments.c.check_in_key == bindparam("check_in_key"),
    )
)
_HELD_PLACES = (
    select(assignments)
    .join(rounds, assignments.c.round_id == rounds.c.id)
    .where(
        is_one_of(assignments.c.state, machine.OPEN_STATES),
        is_one_of(rounds.c.phase, machine.OPEN_PHASES),
    )
)
_PLACES = Prepared(
    select(assignments)
    .join(rounds, assignments.c.round_id == rounds.c.id)
    .join(tasks, rounds.c.task_id == tasks.c.id)
    .where(
        assignments.c.device_id == bindparam("device_id"),
        tasks.c.population == bindparam("population"),
        not_(is_one_of(rounds.c.phase, machine.FINAL_PHASES)),
    )
)
_MOVE_ASSIGNMENT = Prepared(
    update(assignments).where(
        assignments.c.id == bindparam("of_assignment"),
        assignments.c.state == bindparam("from_state"),
    )
)
_ADD_ASSIGNMENT = Prepared(insert(assignments))
_OPEN_PLACES_OF = (assignments.c.round_id == bindparam("of_round")) & is_one_of(
    assignments.c.state, machine.OPEN_STATES
)
_OPEN_PLACES = Prepared(select(assignments).where(_OPEN_PLACES_OF))
_HAND_OVER = Prepared(update(assignments).where(_OPEN_PLACES_OF))
_TAKE_OVER = Prepared(update(rounds).where(rounds.c.id == bindparam("of_round")))


class AssignmentQuestions(Connected):
    def assignment(self, assignment_id: str) -> Assignment | None:
        row = self._one(_ASSIGNMENT, assignment_id=assignment_id)
        return _assignment(row) if row else None

    def measured(self, round_id: int) -> list[Assignment]:
        """The assignments of an evaluation round that were accepted and are not yet folded."""
        query = select(assignments).where(
            assignments.c.round_id == round_id,
            assignments.c.state == AssignmentState.MEASURED,
        )
        return [_assignment(row) for row in self._all(query)]

    def uploaded(self, round_id: int) -> list[Assignment]:
        """The assignments of a round whose updates were accepted and are not yet folded."""
        query = select(assignments).where(
            assignments.c.round_id == round_id,
            assignments.c.state == AssignmentState.UPLOADED,
        )
        return [_assignment(row) for row in self._all(query)]

    def open_places(self, round_id: int) -> list[Assignment]:
        """The places of a round whose devices have yet to deliver."""
        return [_assignment(row) for row in self._all(_OPEN_PLACES, of_round=round_id)]

    def places(self, *, device_id: str, population: str) -> list[Assignment]:
        """The places a device has or had in the rounds of a population that are under way."""
        rows = self._all(_PLACES, device_id=device_id, population=population)
        return [_assignment(row) for row in rows]

    def assignment_for(self, *, device_id: str, check_in_key: str) -> Assignment | None:
        """What a device was given for the check-in with this key."""
        row = self._one(_ASSIGNMENT_FOR, device_id=device_id, check_in_key=check_in_key)
        return _assignment(row) if row else None

    def overdue(self, now: float) -> list[Assignment]:
        """Places in open rounds whose present step should be done by now."""
        query = _HELD_PLACES.where(assignments.c.ends_at <= now)
        return [_assignment(row) for row in self._all(query.order_by(assignments.c.ends_at))]

    def first_deadline(self) -> float:
        """When the first place of an open round should be done; infinite when none is held."""
        query = _HELD_PLACES.with_only_columns(func.min(assignments.c.ends_at))
        found = self._connection.scalar(query)
        return math.inf if found is None else float(found)


class AssignmentChanges(AssignmentQuestions, Historian):
    def add_assignment(self, given: Assignment) -> None:
        self._run(_ADD_ASSIGNMENT, **vars(given))
        self._note("assignment", given.id, given.state, now=given.assigned_at)

    def move_assignment(self, before: Assignment, after: Assignment, *, now: float) -> None:
        """Takes an assignment from one state to another, if it still is where it was."""
        self._swap(
            _MOVE_ASSIGNMENT,
            of_assignment=before.id,
            from_state=before.state,
            state=after.state,
            reason=after.reason,
            ends_at=after.ends_at,
            report=after.report.to_json().decode() if after.report else None,
        )
        if after.state is not before.state:
            self._note("assignment", after.id, after.state, reason=after.reason, now=now)

    def hand_over(self, round_id: int, to: int) -> None:
        """Makes the open places of a round that has ended those of another that nobody joined."""
        moved = self._execute(_HAND_OVER, {"of_round": round_id, "round_id": to})
        self._run(_TAKE_OVER, of_round=to, assigned=moved.rowcount)


def _assignment(row: Any) -> Assignment:
    return assignment_of(row._asdict())


def assignment_of(values: Mapping[str, Any]) -> Assignment:
    report = values["report"]
    known = Report.from_json(report.encode()) if report else None
    return Assignment(**{**values, "state": AssignmentState(values["state"]), "report": known})
