"""Sightings: counts, by the hour, of devices and updates that leave no row of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from ...protocol.messages import AssignmentState
from ...protocol.plan import RoundKind
from ..trust.limits import HOUR_S
from .connected import Connected, Historian
from .prepared import Prepared
from .tables import assignments, rounds, sightings


def _counting(dialect: Any) -> Prepared:
    """One statement, so that two devices at once are two devices."""
    first = dialect.insert(sightings).values(devices=1)
    return Prepared(
        first.on_conflict_do_update(
            index_elements=list(sightings.primary_key),
            set_={"devices": sightings.c.devices + 1},
        )
    )


_COUNT = {"sqlite": _counting(sqlite), "postgresql": _counting(postgresql)}
_OUTCOMES = Prepared(
    select(sightings.c.outcome, func.sum(sightings.c.devices).label("devices"))
    .where(
        sightings.c.population == bindparam("of_population"),
        sightings.c.task == bindparam("of_task"),
        sightings.c.hour >= bindparam("since_hour"),
    )
    .group_by(sightings.c.outcome)
    .order_by(sightings.c.outcome)
)
_HAS_REPORTED = assignments.c.report.is_not(None).label("has_reported")
_COURSES = Prepared(
    select(
        assignments.c.state,
        assignments.c.reason,
        _HAS_REPORTED,
        rounds.c.phase,
        rounds.c.kind,
        func.count().label("devices"),
    )
    .join(rounds, assignments.c.round_id == rounds.c.id)
    .where(
        rounds.c.task_id == bindparam("task_id"), assignments.c.assigned_at >= bindparam("since")
    )
    .group_by(
        assignments.c.state, assignments.c.reason, _HAS_REPORTED, rounds.c.phase, rounds.c.kind
    )
)


@dataclass(frozen=True, kw_only=True)
class Course:
    """How far ``devices`` have come with their places, and what their round is."""

    state: AssignmentState
    reason: str | None
    has_reported: bool
    phase: str
    kind: RoundKind
    devices: int


class SightingQuestions(Connected):
    def sightings(self, *, population: str, task: str = "", since: float) -> dict[str, int]:
        """Outcome -> devices, from the hour of ``since`` on."""
        rows = self._all(_OUTCOMES, of_population=population, of_task=task, since_hour=_hour(since))
        return {row.outcome: int(row.devices) for row in rows}

    def courses(self, *, task_id: int, since: float) -> list[Course]:
        """What became of the places that were given from ``since`` on."""
        rows = self._all(_COURSES, task_id=task_id, since=since)
        return [_course(row) for row in rows]


class SightingChanges(SightingQuestions, Historian):
    def count_sighting(self, outcome: str, *, population: str, task: str = "", now: float) -> None:
        self._run(
            _COUNT[self._connection.dialect.name],
            population=population,
            task=task,
            hour=_hour(now),
            outcome=outcome,
        )


def _course(row: Any) -> Course:
    words = {"state": AssignmentState(row.state), "kind": RoundKind(row.kind)}
    return Course(**{**row._asdict(), **words})


def _hour(at: float) -> int:
    return int(at // HOUR_S)
