"""What can be changed in the tables; every change of a state leaves a history row."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Executable, Row, bindparam, delete, exists, func, insert, select, update

from ...protocol.admin import CreateTask, RoundPhase, TaskStatus
from ...protocol.errors import Unavailable
from ..rounds import Assignment, Round, announced
from ..tables import (
    assignments,
    checkpoints,
    contributions,
    deposits,
    devices,
    history,
    rounds,
    tasks,
    updates,
)
from . import questions
from .reading import Reading, Update, round_of_row

_OPEN_PHASES = (RoundPhase.SELECTING, RoundPhase.REPORTING)

# What every request changes is built once; names in bindparam are those of no column.
_OPEN_ROUND = (rounds.c.id == bindparam("of_round")) & rounds.c.phase.in_(_OPEN_PHASES)
_TAKE_PLACE = (
    update(rounds)
    .where(_OPEN_ROUND, rounds.c.assigned < rounds.c.capacity)
    .values(assigned=rounds.c.assigned + 1)
    .returning(rounds)
)
_GIVE_PLACE_BACK = update(rounds).where(_OPEN_ROUND).values(assigned=rounds.c.assigned - 1)
_COUNT_UPDATE = (
    update(rounds)
    .where(rounds.c.id == bindparam("of_round"))
    .values(accepted=rounds.c.accepted + 1)
    .returning(rounds)
)
_MOVE_ROUND = update(rounds).where(
    rounds.c.id == bindparam("of_round"),
    rounds.c.phase == bindparam("from_phase"),
    rounds.c.epoch == bindparam("from_epoch"),
)
_MOVE_ASSIGNMENT = update(assignments).where(
    assignments.c.id == bindparam("of_assignment"), assignments.c.state == bindparam("from_state")
)
_ADD_ASSIGNMENT = insert(assignments)
_ADD_UPDATE = insert(updates)
_OF_ENTITY = (history.c.entity == bindparam("of")) & (history.c.entity_id == bindparam("of_id"))
_NOTE = insert(history).values(
    entity=bindparam("of"),
    entity_id=bindparam("of_id"),
    seq=select(func.coalesce(func.max(history.c.seq), 0) + 1).where(_OF_ENTITY).scalar_subquery(),
)


class Writing(Reading):
    """The changes, within one transaction."""

    def add_device(
        self, *, device_id: str, token_sha256: str, client_version: str, now: float
    ) -> None:
        self._run(
            insert(devices).values(
                id=device_id,
                token_sha256=token_sha256,
                client_version=client_version,
                enrolled_at=now,
            )
        )

    def add_deposit(self, *, sha256: str, length: int, now: float) -> None:
        self._run(insert(deposits).values(sha256=sha256, bytes=length, put_at=now))

    def forget_deposits(self, *, before: float) -> None:
        """Drops what an operator put before then and no task has come to use."""
        used = select(tasks.c.id).where(
            (tasks.c.model_sha256 == deposits.c.sha256)
            | (tasks.c.manifest_sha256 == deposits.c.sha256)
        )
        self._run(delete(deposits).where(deposits.c.put_at < before, ~exists(used)))

    def add_task(
        self, message: CreateTask, *, model_bytes: int, manifest_bytes: int, now: float
    ) -> int:
        """Returns the task's id."""
        row = self._row(
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
        self._note("task", row.id, TaskStatus.RUNNING, now=now)
        return int(row.id)

    def set_status(self, task_id: int, status: TaskStatus, *, now: float) -> None:
        """Stops or finishes a running task."""
        running = (tasks.c.id == task_id) & (tasks.c.status == TaskStatus.RUNNING)
        self._swap(update(tasks).where(running), status=status)
        self._note("task", task_id, status, now=now)

    def add_checkpoint(
        self, *, task_id: int, version: int, sha256: str, length: int, now: float
    ) -> int:
        """Returns the checkpoint's id."""
        values = {
            "task_id": task_id,
            "version": version,
            "sha256": sha256,
            "bytes": length,
            "created_at": now,
        }
        query = insert(checkpoints).values(values).returning(checkpoints.c.id)
        return int(self._row(query).id)

    def add_contributions(self, checkpoint_id: int, folded: list[Update]) -> None:
        self._connection.execute(
            insert(contributions),
            [{"checkpoint_id": checkpoint_id, **asdict(one)} for one in folded],
        )

    def add_round(self, opened: Round) -> None:
        """Opens a round; its ``id`` is given by the database."""
        values = asdict(opened)
        del values["id"]
        row = self._row(insert(rounds).values(values).returning(rounds.c.id))
        self._note("round", row.id, opened.phase, now=opened.opened_at)

    def move_round(self, before: Round, after: Round, *, now: float) -> None:
        """Takes a round from one phase to another, if it still is where it was believed to be."""
        self._swap(
            _MOVE_ROUND,
            of_round=before.id,
            from_phase=before.phase,
            from_epoch=before.epoch,
            phase=after.phase,
            reason=after.reason,
            selection_ends_at=after.selection_ends_at,
            report_ends_at=after.report_ends_at,
            closed_at=after.closed_at,
        )
        if after.phase is not before.phase:
            self._note("round", after.id, after.phase, reason=after.reason, now=now)

    def claim_round(self, round_id: int) -> Round | None:
        """Takes the next epoch of a round that waits for its sum, or None if it no longer does."""
        query = (
            update(rounds)
            .where(rounds.c.id == round_id, rounds.c.phase == RoundPhase.AGGREGATING)
            .values(epoch=rounds.c.epoch + 1)
            .returning(rounds)
        )
        row = self._connection.execute(query).one_or_none()
        return round_of_row(row) if row else None

    def take_place(self, round_id: int) -> Round | None:
        """One statement, so that a round never gives more places than it has; None when full."""
        row = self._connection.execute(_TAKE_PLACE, {"of_round": round_id}).one_or_none()
        return round_of_row(row) if row else None

    def give_place_back(self, round_id: int) -> None:
        """A closed round keeps its counts."""
        self._run(_GIVE_PLACE_BACK, of_round=round_id)

    def add_assignment(self, given: Assignment) -> None:
        self._run(_ADD_ASSIGNMENT, **asdict(given))
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

    def accept_update(self, held: Assignment, *, now: float) -> Round:
        """Counts the update an assignment has announced, once and for all."""
        report = announced(held)
        self._run(
            _ADD_UPDATE,
            assignment_id=held.id,
            round_id=held.round_id,
            device_id=held.device_id,
            sha256=report.sha256,
            bytes=report.bytes,
            num_examples=report.num_examples,
            loss=report.loss,
            accepted_at=now,
            is_stored=True,
        )
        return round_of_row(self._row(_COUNT_UPDATE, of_round=held.round_id))

    def release_updates(self) -> list[str]:
        """Gives up the bytes of closed rounds; returns those that nothing else refers to."""
        spent = questions.SPENT_UPDATES.subquery()
        mine = select(spent.c.assignment_id)
        others = exists(
            select(updates.c.assignment_id).where(
                updates.c.sha256 == spent.c.sha256,
                updates.c.is_stored,
                updates.c.assignment_id.not_in(mine),
            )
        )
        deposited = exists(select(deposits.c.sha256).where(deposits.c.sha256 == spent.c.sha256))
        served = exists(select(checkpoints.c.id).where(checkpoints.c.sha256 == spent.c.sha256))
        query = select(spent.c.sha256).distinct().where(~others, ~deposited, ~served)
        free = list(self._connection.scalars(query))
        self._run(update(updates).where(updates.c.assignment_id.in_(mine)).values(is_stored=False))
        return free

    def _note(
        self,
        entity: str,
        entity_id: int | str,
        state: str,
        *,
        now: float,
        reason: str | None = None,
    ) -> None:
        values = {
            "of": entity,
            "of_id": str(entity_id),
            "state": state,
            "reason": reason,
            "at": now,
        }
        self._run(_NOTE, **values)

    def _run(self, statement: Executable, **values: object) -> None:
        self._connection.execute(statement, values)

    def _row(self, statement: Executable, **values: object) -> Row[Any]:
        return self._connection.execute(statement, values).one()

    def _swap(self, statement: Executable, **values: object) -> None:
        """Runs a compare-and-set: exactly one row must still be what it was."""
        if self._connection.execute(statement, values).rowcount != 1:
            raise Unavailable("another writer was faster; try again", retry_after_s=5.0)
