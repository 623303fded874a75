"""What can be asked of the tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Connection,
    Executable,
    Row,
    exists,
    func,
    or_,
    select,
    union,
)

from ...protocol.admin import CreateTask, RoundPhase, TaskStatus
from ...protocol.messages import AssignmentState, Report
from ..rounds import Assignment, Round
from ..tables import (
    assignments,
    checkpoints,
    deposits,
    rounds,
    tasks,
    updates,
)
from . import questions


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task as it was created, and whether it runs."""

    id: int
    message: CreateTask
    model_bytes: int
    manifest_bytes: int
    status: TaskStatus


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One version of a task's global weights."""

    id: int
    task_id: int
    version: int
    sha256: str
    bytes: int
    created_at: float


@dataclass(frozen=True, kw_only=True)
class Update:
    """An accepted update: where its bytes are and what it weighs."""

    assignment_id: str
    sha256: str
    num_examples: int


@dataclass(frozen=True, kw_only=True)
class RoundTally:
    """What became of the places of a round, and what its accepted updates amount to."""

    states: dict[AssignmentState, int]
    num_examples: int
    train_loss: float | None
    bytes_up: int


class Reading:
    """The questions, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def device_with_token(self, token_sha256: str) -> tuple[str, str] | None:
        """(device id, digest of its token)."""
        row = self._one(questions.DEVICE_WITH_TOKEN, token_sha256=token_sha256)
        return (row.id, row.token_sha256) if row else None

    def deposit_bytes(self, sha256: str) -> int | None:
        """The length of what an operator has put under this name."""
        row = self._one(select(deposits.c.bytes).where(deposits.c.sha256 == sha256))
        return None if row is None else int(row.bytes)

    def is_downloadable(self, sha256: str) -> bool:
        """Whether a task offers these bytes; an update of a device never is."""
        of_task = or_(tasks.c.model_sha256 == sha256, tasks.c.manifest_sha256 == sha256)
        offered = or_(
            exists(select(tasks.c.id).where(of_task)),
            exists(select(checkpoints.c.id).where(checkpoints.c.sha256 == sha256)),
        )
        return bool(self._connection.scalar(select(offered)))

    def tasks(self) -> list[Task]:
        return [_task(row) for row in self._all(select(tasks).order_by(tasks.c.id))]

    def tasks_of(self, population: str) -> list[Task]:
        """Every task a population ever had, newest first."""
        return [_task(row) for row in self._all(questions.TASKS_OF, population=population)]

    def task(self, task_id: int) -> Task:
        return _task(self._the(questions.TASK, task_id=task_id))

    def task_named(self, name: str) -> Task | None:
        row = self._one(select(tasks).where(tasks.c.name == name))
        return _task(row) if row else None

    def checkpoints(self, task_id: int) -> list[Checkpoint]:
        """Every checkpoint of a task, oldest first."""
        query = select(checkpoints).where(checkpoints.c.task_id == task_id)
        rows = self._all(query.order_by(checkpoints.c.version))
        return [Checkpoint(**row._mapping) for row in rows]

    def newest_checkpoint(self, task_id: int) -> Checkpoint:
        return Checkpoint(**self._the(questions.NEWEST_CHECKPOINT, task_id=task_id)._mapping)

    def round(self, round_id: int) -> Round:
        return round_of_row(self._the(questions.ROUND, round_id=round_id))

    def rounds(self, task_id: int) -> list[Round]:
        """Every attempt of a task, in order."""
        query = select(rounds).where(rounds.c.task_id == task_id)
        rows = self._all(query.order_by(rounds.c.number, rounds.c.attempt))
        return [round_of_row(row) for row in rows]

    def current_round(self, task_id: int) -> Round | None:
        """The attempt that is under way, if the task has one."""
        row = self._one(questions.CURRENT_ROUND, task_id=task_id)
        return round_of_row(row) if row else None

    def rounds_under_way(self) -> list[Round]:
        return [round_of_row(row) for row in self._all(questions.UNDER_WAY)]

    def tallies(self, task_id: int, *, since: int = 0) -> dict[int, RoundTally]:
        """The tally of each round of a task from the one with id ``since``, if anybody joined."""
        states: dict[int, dict[AssignmentState, int]] = {}
        for row in self._all(questions.COUNT_STATES, task_id=task_id, since=since):
            states.setdefault(row.round_id, {})[AssignmentState(row.state)] = row.places
        sums = {
            row.round_id: row
            for row in self._all(questions.SUM_UPDATES, task_id=task_id, since=since)
        }
        return {one: _tally(states[one], sums.get(one)) for one in states}

    def assignment(self, assignment_id: str) -> Assignment | None:
        row = self._one(questions.ASSIGNMENT, assignment_id=assignment_id)
        return _assignment(row) if row else None

    def uploaded(self, round_id: int) -> list[Assignment]:
        """The assignments of a round whose updates were accepted and are not yet folded."""
        query = select(assignments).where(
            assignments.c.round_id == round_id,
            assignments.c.state == AssignmentState.UPLOADED,
        )
        return [_assignment(row) for row in self._all(query)]

    def open_assignment(self, *, device_id: str, population: str, now: float) -> Assignment | None:
        """The place a device holds in a round that still takes its update."""
        row = self._one(
            questions.OPEN_ASSIGNMENT, device_id=device_id, population=population, now=now
        )
        return _assignment(row) if row else None

    def took_part(self, *, round_id: int, device_id: str) -> bool:
        return self._one(questions.TOOK_PART, round_id=round_id, device_id=device_id) is not None

    def overdue(self, now: float) -> list[Assignment]:
        """Places in open rounds whose present step should be done by now."""
        query = questions.HELD_PLACES.where(assignments.c.ends_at <= now)
        return [_assignment(row) for row in self._all(query.order_by(assignments.c.ends_at))]

    def first_deadline(self) -> float:
        """When the first place of an open round should be done; infinite when none is held."""
        query = questions.HELD_PLACES.with_only_columns(func.min(assignments.c.ends_at))
        found = self._connection.scalar(query)
        return math.inf if found is None else float(found)

    def updates(self, round_id: int) -> list[Update]:
        """The accepted updates of a round, in no order that matters."""
        query = select(updates.c.assignment_id, updates.c.sha256, updates.c.num_examples).where(
            updates.c.round_id == round_id
        )
        return [Update(**row._mapping) for row in self._all(query)]

    def has_spent_updates(self) -> bool:
        """Whether a closed round still has updates on disk."""
        return self._one(questions.SPENT_UPDATES.limit(1)) is not None

    def needed_blobs(self) -> frozenset[str]:
        """The names of all bytes that something still refers to."""
        kept = union(
            select(deposits.c.sha256),
            select(checkpoints.c.sha256),
            select(updates.c.sha256).where(updates.c.is_stored),
        )
        return frozenset(self._connection.scalars(kept))

    def _the(self, query: Executable, **values: object) -> Row[Any]:
        return self._connection.execute(query, values).one()

    def _one(self, query: Executable, **values: object) -> Row[Any] | None:
        return self._connection.execute(query, values).one_or_none()

    def _all(self, query: Executable, **values: object) -> Sequence[Row[Any]]:
        return self._connection.execute(query, values).all()


@lru_cache(maxsize=64)
def _message(text: str) -> CreateTask:
    return CreateTask.from_json(text.encode())


def _task(row: Row[Any]) -> Task:
    return Task(
        id=row.id,
        message=_message(row.message),
        model_bytes=row.model_bytes,
        manifest_bytes=row.manifest_bytes,
        status=TaskStatus(row.status),
    )


def round_of_row(row: Row[Any]) -> Round:
    return Round(**{**row._mapping, "phase": RoundPhase(row.phase)})


def _tally(states: dict[AssignmentState, int], sums: Row[Any] | None) -> RoundTally:
    if sums is None:
        return RoundTally(states=states, num_examples=0, train_loss=None, bytes_up=0)
    return RoundTally(
        states=states,
        num_examples=sums.num_examples,
        train_loss=sums.loss / sums.with_loss if sums.with_loss else None,
        bytes_up=sums.bytes,
    )


def _assignment(row: Row[Any]) -> Assignment:
    report = Report.from_json(row.report.encode()) if row.report else None
    state = AssignmentState(row.state)
    return Assignment(**{**row._mapping, "state": state, "report": report})
