"""Rounds: their phases and their counts, each changed by one statement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import bindparam, func, insert, not_, or_, select, update

from ...protocol.admin import RoundPhase
from ...protocol.plan import RoundKind
from ..states import rounds as machine
from ..states.rounds import Round
from .connected import Connected, Historian, is_one_of
from .prepared import Prepared
from .tables import rounds, tasks

_ROUND = Prepared(select(rounds).where(rounds.c.id == bindparam("round_id")))
_UNFINISHED = (
    select(rounds)
    .where(not_(is_one_of(rounds.c.phase, machine.FINAL_PHASES)))
    .order_by(rounds.c.id)
)
_UNDER_WAY = Prepared(_UNFINISHED)
_CURRENT_ROUND = Prepared(
    _UNFINISHED.where(
        rounds.c.task_id == bindparam("task_id"), rounds.c.kind == bindparam("of_kind")
    )
)
_COMMITTED = (
    (rounds.c.task_id == bindparam("task_id"))
    & (rounds.c.kind == RoundKind.TRAIN)
    & (rounds.c.phase == RoundPhase.COMMITTED)
)
_COUNT_COMMITTED = Prepared(select(func.count().label("committed")).where(_COMMITTED))
_LAST_COMMITTED = Prepared(
    select(rounds.c.opened_at, rounds.c.closed_at)
    .where(_COMMITTED)
    .order_by(rounds.c.id.desc())
    .limit(5)
)
_OPEN_ROUND = (rounds.c.id == bindparam("of_round")) & is_one_of(
    rounds.c.phase, machine.OPEN_PHASES
)
_TASK_NAME = Prepared(select(tasks.c.name).where(tasks.c.id == bindparam("task_id")))
_HAS_PLACES = (rounds.c.assigned < rounds.c.capacity) & or_(
    rounds.c.concurrency.is_(None), rounds.c.assigned - rounds.c.accepted < rounds.c.concurrency
)
_TAKE_PLACE = Prepared(
    update(rounds)
    .where(_OPEN_ROUND, _HAS_PLACES)
    .values(assigned=rounds.c.assigned + 1)
    .returning(rounds)
)
_GIVE_PLACE_BACK = Prepared(
    update(rounds).where(_OPEN_ROUND).values(assigned=rounds.c.assigned - 1)
)
_MOVE_ROUND = Prepared(
    update(rounds).where(
        rounds.c.id == bindparam("of_round"),
        rounds.c.phase == bindparam("from_phase"),
        rounds.c.epoch == bindparam("from_epoch"),
    )
)


class RoundQuestions(Connected):
    def round(self, round_id: int) -> Round:
        return round_of_row(self._the(_ROUND, round_id=round_id))

    def rounds(self, task_id: int, kind: RoundKind = RoundKind.TRAIN) -> list[Round]:
        """Every attempt of a task at rounds of one kind, in order."""
        query = select(rounds).where(rounds.c.task_id == task_id, rounds.c.kind == kind)
        rows = self._all(query.order_by(rounds.c.number, rounds.c.attempt))
        return [round_of_row(row) for row in rows]

    def current_round(self, task_id: int, kind: RoundKind = RoundKind.TRAIN) -> Round | None:
        """The attempt of this kind that is under way, if the task has one."""
        row = self._one(_CURRENT_ROUND, task_id=task_id, of_kind=kind)
        return round_of_row(row) if row else None

    def round_times(self, task_id: int) -> list[float]:
        """Seconds from opening to commit of the last five rounds."""
        rows = self._all(_LAST_COMMITTED, task_id=task_id)
        return [row.closed_at - row.opened_at for row in rows]

    def committed_rounds(self, task_id: int) -> int:
        """How many rounds of a task have trained a checkpoint."""
        return int(self._the(_COUNT_COMMITTED, task_id=task_id).committed)

    def rounds_under_way(self) -> list[Round]:
        return [round_of_row(row) for row in self._all(_UNDER_WAY)]


class RoundChanges(RoundQuestions, Historian):
    def add_round(self, opened: Round) -> Round:
        """Opens a round; its ``id`` is given by the database."""
        values = asdict(opened)
        del values["id"]
        row = self._the(insert(rounds).values(values).returning(rounds.c.id))
        about = self._about(opened)
        self._note("round", row.id, opened.phase, now=opened.opened_at, about=about)
        return replace(opened, id=int(row.id))

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
            about = self._about(after)
            self._note("round", after.id, after.phase, reason=after.reason, now=now, about=about)

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
        row = self._one(_TAKE_PLACE, of_round=round_id)
        return round_of_row(row) if row else None

    def give_place_back(self, round_id: int) -> None:
        """A closed round keeps its counts."""
        self._run(_GIVE_PLACE_BACK, of_round=round_id)

    def _about(self, round_: Round) -> dict[str, object]:
        return {
            "task": self._the(_TASK_NAME, task_id=round_.task_id).name,
            "kind": round_.kind.value,
            "round": round_.number,
            "attempt": round_.attempt,
            "assigned": round_.assigned,
            "accepted": round_.accepted,
            "goal": round_.goal,
        }


def round_of_row(row: Any) -> Round:
    return round_of(row._asdict())


def round_of(values: Mapping[str, Any]) -> Round:
    words = {"kind": RoundKind(values["kind"]), "phase": RoundPhase(values["phase"])}
    return Round(**{**values, **words})
