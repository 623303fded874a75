"""The census: how many of everything there are now, for whoever watches the server."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import distinct, func, select

from ..states import rounds as machine
from ..states.rounds import Round
from .connected import Connected
from .rounds import round_of_row
from .tables import assignments, checkpoints, devices, rounds, tasks

_BY_TASK = rounds.join(tasks, rounds.c.task_id == tasks.c.id)
_UNDER_WAY = rounds.c.phase.not_in(sorted(machine.FINAL_PHASES))
_DEVICES = select(func.count()).select_from(devices)
_ROUNDS = (
    select(tasks.c.name, rounds.c.kind, rounds.c.phase, func.count().label("rounds"))
    .select_from(_BY_TASK)
    .group_by(tasks.c.name, rounds.c.kind, rounds.c.phase)
)
_PLACES = (
    select(tasks.c.name, rounds.c.kind, assignments.c.state, func.count().label("places"))
    .select_from(_BY_TASK.join(assignments, assignments.c.round_id == rounds.c.id))
    .where(_UNDER_WAY)
    .group_by(tasks.c.name, rounds.c.kind, assignments.c.state)
)
_CURRENT = select(rounds).where(_UNDER_WAY).order_by(rounds.c.id)
_VERSIONS = (
    select(
        tasks.c.id, tasks.c.name, tasks.c.status, func.max(checkpoints.c.version).label("version")
    )
    .join(checkpoints, checkpoints.c.task_id == tasks.c.id)
    .group_by(tasks.c.id, tasks.c.name, tasks.c.status)
)


@dataclass(frozen=True, kw_only=True)
class Census:
    """What a server's database holds at one moment; the names in it are those of tasks.

    ``rounds`` and ``places`` are counts by task, kind of round, and phase or state.
    """

    devices: int
    placed_devices: int
    statuses: dict[str, str]
    versions: dict[str, int]
    rounds: dict[tuple[str, str, str], int]
    places: dict[tuple[str, str, str], int]
    current: list[tuple[str, Round]]


class CensusQuestions(Connected):
    def census(self, *, since: float) -> Census:
        """``placed_devices`` were given a place in a round that was opened from then on."""
        placed = (
            select(func.count(distinct(assignments.c.device_id)))
            .join(rounds, assignments.c.round_id == rounds.c.id)
            .where(rounds.c.opened_at >= since)
        )
        newest = self._all(_VERSIONS)
        names = {row.id: row.name for row in newest}
        current = [round_of_row(row) for row in self._all(_CURRENT)]
        return Census(
            devices=int(self._connection.scalar(_DEVICES) or 0),
            placed_devices=int(self._connection.scalar(placed) or 0),
            statuses={row.name: row.status for row in newest},
            versions={row.name: row.version for row in newest},
            rounds={(row.name, row.kind, row.phase): row.rounds for row in self._all(_ROUNDS)},
            places={(row.name, row.kind, row.state): row.places for row in self._all(_PLACES)},
            current=[(names[round_.task_id], round_) for round_ in current],
        )
