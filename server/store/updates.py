"""Updates: accepted once per device and round, and kept until their round is over."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, insert, select, union, update

from .. import rounds as machine
from ..rounds import Assignment, Round, announced
from ..tables import checkpoints, deposits, rounds, updates
from .connected import Connected, Historian
from .rounds import round_of_row

RELEASED_AT_ONCE = 500
_SPENT_UPDATES = (
    select(updates.c.assignment_id, updates.c.sha256)
    .join(rounds, updates.c.round_id == rounds.c.id)
    .where(updates.c.is_stored, rounds.c.phase.in_(sorted(machine.FINAL_PHASES)))
)
_COUNT_UPDATE = (
    update(rounds)
    .where(rounds.c.id == bindparam("of_round"))
    .values(accepted=rounds.c.accepted + 1)
    .returning(rounds)
)
_ADD_UPDATE = insert(updates)


@dataclass(frozen=True, kw_only=True)
class Update:
    """An accepted update: where its bytes are and what it weighs."""

    assignment_id: str
    sha256: str
    num_examples: int


class UpdateQuestions(Connected):
    def updates(self, round_id: int) -> list[Update]:
        """The accepted updates of a round, in no order that matters."""
        query = select(updates.c.assignment_id, updates.c.sha256, updates.c.num_examples).where(
            updates.c.round_id == round_id
        )
        return [Update(**row._mapping) for row in self._all(query)]

    def has_spent_updates(self) -> bool:
        """Whether a closed round still has updates on disk."""
        return self._one(_SPENT_UPDATES.limit(1)) is not None


class UpdateChanges(UpdateQuestions, Historian):
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
        return round_of_row(self._the(_COUNT_UPDATE, of_round=held.round_id))

    def release_updates(self) -> list[str]:
        """Gives up the bytes of some updates of closed rounds; returns those nothing refers to."""
        spent = _SPENT_UPDATES.with_only_columns(updates.c.assignment_id).limit(RELEASED_AT_ONCE)
        released = self._connection.scalars(
            update(updates)
            .where(updates.c.assignment_id.in_(spent.scalar_subquery()))
            .values(is_stored=False)
            .returning(updates.c.sha256)
        )
        names = set(released)
        kept = union(
            select(deposits.c.sha256).where(deposits.c.sha256.in_(names)),
            select(checkpoints.c.sha256).where(checkpoints.c.sha256.in_(names)),
            select(updates.c.sha256).where(updates.c.is_stored, updates.c.sha256.in_(names)),
        )
        return sorted(names - set(self._connection.scalars(kept)))
