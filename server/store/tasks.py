"""Tasks: as they were created, and whether they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from ...protocol.admin import CreateTask, TaskStatus
from ..states.rounds import KINDS_SERVED
from .connected import Connected, Historian, is_one_of
from .prepared import Prepared
from .tables import assignments, rounds, tasks

_ANY = tasks.alias()
_BY_ID = select(tasks).where(tasks.c.id == bindparam("task_id"))
_TASK = Prepared(_BY_ID)
_TASKS_OF = Prepared(
    select(tasks).where(tasks.c.population == bindparam("population")).order_by(tasks.c.id.desc())
)
LIVE_STATUSES = (TaskStatus.RUNNING, TaskStatus.PAUSED)
# What a foreign key asks of a row stays free: only who changes the same task waits.
_LOCK_TASK = Prepared(_BY_ID.with_for_update(key_share=True))
_LOCK_TASK_OF = Prepared(
    select(tasks)
    .join(rounds, rounds.c.task_id == tasks.c.id)
    .join(assignments, assignments.c.round_id == rounds.c.id)
    .where(assignments.c.id == bindparam("assignment_id"))
    .with_for_update(key_share=True, of=tasks)
)
_LOCK_SERVING = Prepared(
    select(tasks)
    .where(
        tasks.c.population == bindparam("population"),
        is_one_of(tasks.c.status, KINDS_SERVED),
    )
    .order_by(tasks.c.id)
    .with_for_update(key_share=True)
)
_TAKE_TURN = Prepared(
    update(tasks)
    .where(tasks.c.id == bindparam("of_task"))
    .values(last_turn=select(func.max(_ANY.c.last_turn) + 1).scalar_subquery())
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task as it was created, and whether it runs.

    ``last_turn`` orders the tasks by when they were last given a device; 0 is never.
    """

    id: int
    message: CreateTask
    model_bytes: int
    manifest_bytes: int
    status: TaskStatus
    last_turn: int


class TaskQuestions(Connected):
    def tasks(self) -> list[Task]:
        return [_task(row) for row in self._all(select(tasks).order_by(tasks.c.id))]

    def tasks_of(self, population: str) -> list[Task]:
        """Every task a population ever had, newest first."""
        return [_task(row) for row in self._all(_TASKS_OF, population=population)]

    def task(self, task_id: int) -> Task:
        return _task(self._the(_TASK, task_id=task_id))

    def task_named(self, name: str) -> Task | None:
        row = self._one(select(tasks).where(tasks.c.name == name))
        return _task(row) if row else None


class TaskChanges(TaskQuestions, Historian):
    def lock_task(self, task_id: int) -> Task:
        """Keeps all others from changing this task, its rounds and their places (``locks``)."""
        return _task(self._the(_LOCK_TASK, task_id=task_id))

    def lock_task_of(self, assignment_id: str) -> None:
        """Locks the task an assignment belongs to, if there is such an assignment."""
        if not self.is_alone:
            self._one(_LOCK_TASK_OF, assignment_id=assignment_id)

    def lock_serving_tasks(self, population: str) -> list[Task]:
        """Locks the tasks of a population that may have rounds to give places in; newest first."""
        return [_task(row) for row in reversed(self._all(_LOCK_SERVING, population=population))]

    def add_task(
        self, message: CreateTask, *, model_bytes: int, manifest_bytes: int, now: float
    ) -> int:
        """Returns the task's id."""
        row = self._the(
            insert(tasks)
            .values(
                name=message.name,
                population=message.population,
                message=message.to_json().decode(),
                model_sha256=message.model_sha256,
                model_bytes=model_bytes,
                manifest_sha256=message.manifest_sha256,
                manifest_bytes=manifest_bytes,
                status=TaskStatus.RUNNING,
                created_at=now,
            )
            .returning(tasks.c.id)
        )
        self._note("task", row.id, TaskStatus.RUNNING, now=now, about={"task": message.name})
        return int(row.id)

    def set_status(self, task_id: int, status: TaskStatus, *, now: float) -> None:
        """Pauses, resumes, stops or finishes a task that has not ended."""
        live = (tasks.c.id == task_id) & tasks.c.status.in_(LIVE_STATUSES)
        self._swap(update(tasks).where(live), status=status)
        about = {"task": self.task(task_id).message.name}
        self._note("task", task_id, status, now=now, about=about)

    def take_turn(self, task_id: int) -> None:
        """Notes that this task is now the one that was given a device last."""
        self._run(_TAKE_TURN, of_task=task_id)


@lru_cache(maxsize=64)
def _message(text: str) -> CreateTask:
    return CreateTask.from_json(text.encode())


def _task(row: Any) -> Task:
    return task_of(row._asdict())


def task_of(values: Mapping[str, Any]) -> Task:
    return Task(
        id=values["id"],
        message=_message(values["message"]),
        model_bytes=values["model_bytes"],
        manifest_bytes=values["manifest_bytes"],
        status=TaskStatus(values["status"]),
        last_turn=values["last_turn"],
    )
