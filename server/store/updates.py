"""Updates: accepted once per device and round, and kept for a while after their round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from sqlalchemy import bindparam, func, insert, select, union, update

from ...protocol.codecs import FLOAT32
from ..states import rounds as machine
from ..states.places import announced, staleness
from ..states.rounds import Assignment, Round
from .connected import Connected, Historian, is_one_of
from .prepared import Prepared
from .rounds import round_of_row
from .tables import assignments, checkpoints, deposits, rounds, updates

_SPENT_UPDATES = (
    select(updates.c.assignment_id, updates.c.sha256)
    .join(rounds, updates.c.round_id == rounds.c.id)
    .where(updates.c.is_stored, is_one_of(rounds.c.phase, machine.FINAL_PHASES))
)
_LAST_ACCEPTED = Prepared(
    select(updates.c.accepted_at, assignments.c.assigned_at)
    .join(assignments, updates.c.assignment_id == assignments.c.id)
    .join(rounds, updates.c.round_id == rounds.c.id)
    .where(rounds.c.task_id == bindparam("task_id"))
    .order_by(updates.c.accepted_at.desc())
    .limit(200)
)
_FIRST_SPENT = Prepared(_SPENT_UPDATES.with_only_columns(func.min(rounds.c.closed_at).label("at")))
_SPENT_NAMES = Prepared(
    _SPENT_UPDATES.with_only_columns(updates.c.sha256)
    .where(rounds.c.closed_at <= bindparam("closed_by"))
    .distinct()
    .order_by(updates.c.sha256)
    .limit(bindparam("at_most"))
)
COUNT_ACCEPTED = Prepared(
    update(rounds)
    .where(rounds.c.id == bindparam("of_round"))
    .values(accepted=rounds.c.accepted + 1)
    .returning(rounds)
)
_ADD_UPDATE = Prepared(insert(updates))


@dataclass(frozen=True, kw_only=True)
class Update:
    """An accepted update: where its bytes are, how they are encoded, and what they weigh.

    ``staleness`` is how many versions it was behind the one it is folded onto.
    """

    assignment_id: str
    sha256: str
    num_examples: int
    codec: str = FLOAT32
    staleness: int = 0


class UpdateQuestions(Connected):
    def updates(self, round_id: int) -> list[Update]:
        """The accepted updates of a round, in no order that matters."""
        columns = [updates.c[field.name] for field in fields(Update)]
        query = select(*columns).where(updates.c.round_id == round_id)
        return [Update(**row._asdict()) for row in self._all(query)]

    def device_times(self, task_id: int) -> list[float]:
        """Seconds from assignment to accepted update, of a task's last two hundred updates."""
        rows = self._all(_LAST_ACCEPTED, task_id=task_id)
        return [row.accepted_at - row.assigned_at for row in rows]

    def stored_updates(self, assignment_ids: Sequence[str]) -> list[str]:
        """Those of some updates whose bytes are still kept."""
        query = select(updates.c.assignment_id).where(updates.c.is_stored)
        return [
            one for one in assignment_ids if self._one(query.where(updates.c.assignment_id == one))
        ]

    def first_closed_with_updates(self) -> float:
        """When the first of the closed rounds that still have updates on disk was closed."""
        found = self._the(_FIRST_SPENT).at
        return math.inf if found is None else float(found)

    def spent_updates(self, *, closed_by: float, limit: int) -> list[str]:
        """Names of stored updates whose rounds were closed by then."""
        rows = self._all(_SPENT_NAMES, closed_by=closed_by, at_most=limit)
        return [row.sha256 for row in rows]


class UpdateChanges(UpdateQuestions, Historian):
    def accept_update(self, held: Assignment, *, now: float) -> Round:
        """Counts the update an assignment has announced, once and for all."""
        report = announced(held)
        counted = round_of_row(self._the(COUNT_ACCEPTED, of_round=held.round_id))
        self._run(
            _ADD_UPDATE,
            assignment_id=held.id,
            round_id=held.round_id,
            device_id=held.device_id,
            sha256=report.sha256,
            bytes=report.bytes,
            num_examples=report.num_examples,
            codec=held.codec,
            loss=report.loss,
            staleness=staleness(held, counted),
            accepted_at=now,
            is_stored=True,
        )
        return counted

    def release_updates(self, names: list[str], *, closed_by: float) -> list[str]:
        """Gives up these bytes of rounds closed by then; returns those nothing else refers to."""
        spent = _SPENT_UPDATES.with_only_columns(updates.c.assignment_id).where(
            updates.c.sha256.in_(names), rounds.c.closed_at <= closed_by
        )
        released = self._connection.scalars(
            update(updates)
            .where(updates.c.assignment_id.in_(spent.scalar_subquery()))
            .values(is_stored=False)
            .returning(updates.c.sha256)
        )
        freed = set(released)
        kept = union(
            select(deposits.c.sha256).where(deposits.c.sha256.in_(freed)),
            select(checkpoints.c.sha256).where(checkpoints.c.sha256.in_(freed)),
            select(updates.c.sha256).where(updates.c.is_stored, updates.c.sha256.in_(freed)),
        )
        return sorted(freed - set(self._connection.scalars(kept)))
