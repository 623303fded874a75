"""Updates: accepted once per device and round, and kept until their round is over."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, exists, insert, select, update

from .. import rounds as machine
from ..rounds import Assignment, Round, announced
from ..tables import checkpoints, deposits, rounds, updates
from .connected import Connected, Historian
from .rounds import round_of_row

_SPENT_UPDATES = (
    select(updates.c.assignment_id, updates.c.sha256)
    .join(rounds, updates.c.round_id == rounds.c.id)
    .where(updates.c.is_stored, rounds.c.phase.in_(sorted(machine.FINAL_PHASES)))
)
COUNT_ACCEPTED = (
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
        return round_of_row(self._the(COUNT_ACCEPTED, of_round=held.round_id))

    def release_updates(self) -> list[str]:
        """Gives up the bytes of closed rounds; returns those that nothing else refers to."""
        spent = _SPENT_UPDATES.subquery()
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
