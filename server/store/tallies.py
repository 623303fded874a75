"""Tallies: what became of the places of a round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, select

from ...protocol.messages import AssignmentState
from .connected import Connected
from .prepared import Prepared
from .tables import assignments, rounds, updates

_OF_TASK_SINCE = (rounds.c.task_id == bindparam("task_id")) & (rounds.c.id >= bindparam("since"))
_COUNT_STATES = Prepared(
    select(assignments.c.round_id, assignments.c.state, func.count().label("places"))
    .join(rounds, assignments.c.round_id == rounds.c.id)
    .where(_OF_TASK_SINCE)
    .group_by(assignments.c.round_id, assignments.c.state)
)
_SUM_UPDATES = Prepared(
    select(
        updates.c.round_id,
        func.sum(updates.c.num_examples).label("num_examples"),
        func.sum(updates.c.bytes).label("bytes"),
        func.sum(updates.c.loss * updates.c.num_examples).label("loss"),
        func.sum(updates.c.num_examples).filter(updates.c.loss.is_not(None)).label("with_loss"),
        func.sum(updates.c.staleness).label("staleness"),
        func.count().label("updates"),
    )
    .join(rounds, updates.c.round_id == rounds.c.id)
    .where(_OF_TASK_SINCE)
    .group_by(updates.c.round_id)
)


@dataclass(frozen=True, kw_only=True)
class RoundTally:
    """What became of the places of a round, and what its accepted updates amount to."""

    states: dict[AssignmentState, int]
    num_examples: int
    train_loss: float | None
    bytes_up: int
    mean_staleness: float | None = None


class TallyQuestions(Connected):
    def tallies(self, task_id: int, *, since: int = 0) -> dict[int, RoundTally]:
        """The tally of each round of a task from the one with id ``since``, if anybody joined."""
        states: dict[int, dict[AssignmentState, int]] = {}
        for row in self._all(_COUNT_STATES, task_id=task_id, since=since):
            states.setdefault(row.round_id, {})[AssignmentState(row.state)] = row.places
        sums = {row.round_id: row for row in self._all(_SUM_UPDATES, task_id=task_id, since=since)}
        return {one: _tally(states[one], sums.get(one)) for one in states}


def _tally(states: dict[AssignmentState, int], sums: Any | None) -> RoundTally:
    if sums is None:
        return RoundTally(states=states, num_examples=0, train_loss=None, bytes_up=0)
    return RoundTally(
        states=states,
        num_examples=sums.num_examples,
        train_loss=sums.loss / sums.with_loss if sums.with_loss else None,
        bytes_up=sums.bytes,
        mean_staleness=float(sums.staleness) / sums.updates,
    )
