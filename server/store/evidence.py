"""Evidence: what the tables hold of the past, row beside row, for the audit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import String, cast, func, literal, select, union_all

from ...protocol.messages import AssignmentState, Report
from .connected import Connected
from .tables import assignments, contributions, history, rounds, tasks, updates


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """An update beside the assignment it came through, and that assignment's report."""

    assignment_id: str
    round_id: int
    device_id: str
    sha256: str
    num_examples: int
    accepted_at: float
    is_stored: bool
    staleness: int
    base_version: int
    assigned_round_id: int
    assigned_device_id: str
    state: AssignmentState
    ends_at: float
    report: Report | None


@dataclass(frozen=True, kw_only=True)
class Transition:
    seq: int
    state: str
    at: float


@dataclass(frozen=True, kw_only=True)
class Life:
    """The state of a task, a round or an assignment, and the transitions that led there."""

    entity: str
    entity_id: str
    state: str
    transitions: tuple[Transition, ...]


class EvidenceQuestions(Connected):
    def accepted(self, round_id: int) -> list[Accepted]:
        """The updates a round counts."""
        query = (
            select(
                updates.c.assignment_id,
                updates.c.round_id,
                updates.c.device_id,
                updates.c.sha256,
                updates.c.num_examples,
                updates.c.accepted_at,
                updates.c.is_stored,
                updates.c.staleness,
                assignments.c.base_version,
                assignments.c.round_id.label("assigned_round_id"),
                assignments.c.device_id.label("assigned_device_id"),
                assignments.c.state,
                assignments.c.ends_at,
                assignments.c.report,
            )
            .join(assignments, updates.c.assignment_id == assignments.c.id)
            .where(updates.c.round_id == round_id)
            .order_by(updates.c.assignment_id)
        )
        return [
            Accepted(
                **{
                    **row._mapping,
                    "state": AssignmentState(row.state),
                    "report": Report.from_json(row.report.encode()) if row.report else None,
                }
            )
            for row in self._all(query)
        ]

    def acknowledged_without_update(self) -> list[str]:
        """Assignments whose update was acknowledged and of which no update is left."""
        query = (
            select(assignments.c.id)
            .outerjoin(updates, updates.c.assignment_id == assignments.c.id)
            .where(
                assignments.c.state.in_([AssignmentState.UPLOADED, AssignmentState.FOLDED]),
                updates.c.assignment_id.is_(None),
            )
        )
        return list(self._connection.scalars(query))

    def latest_assignment_at(self, round_id: int) -> float | None:
        """When a round gave its last place."""
        query = select(func.max(assignments.c.assigned_at))
        found = self._connection.scalar(query.where(assignments.c.round_id == round_id))
        return None if found is None else float(found)

    def manifests_of(self, assignment_id: str) -> list[int]:
        """The checkpoints in whose manifest an update is."""
        query = select(contributions.c.checkpoint_id)
        found = self._connection.scalars(
            query.where(contributions.c.assignment_id == assignment_id)
        )
        return list(found)

    def was_update(self, sha256: str) -> bool:
        """Whether a device has sent these bytes at any time."""
        query = select(updates.c.assignment_id).where(updates.c.sha256 == sha256).limit(1)
        return self._one(query) is not None

    def last_event_at(self) -> float:
        """The last instant of which anything is written down."""
        return float(self._connection.scalar(select(func.max(history.c.at))) or 0.0)

    def lives(self) -> Iterator[Life]:
        """Every task, round and assignment with its history, also where there is none."""
        present = union_all(
            *(
                select(
                    literal(entity).label("entity"),
                    cast(table.c.id, String).label("entity_id"),
                    state.label("present"),
                )
                for entity, table, state in (
                    ("task", tasks, tasks.c.status),
                    ("round", rounds, rounds.c.phase),
                    ("assignment", assignments, assignments.c.state),
                )
            )
        ).subquery()
        of_entity = (history.c.entity == present.c.entity) & (
            history.c.entity_id == present.c.entity_id
        )
        query = (
            select(present, history.c.seq, history.c.state, history.c.at)
            .outerjoin(history, of_entity)
            .order_by(present.c.entity, present.c.entity_id, history.c.seq)
        )
        rows = self._connection.execute(query)
        for key, group in groupby(rows, lambda row: (row.entity, row.entity_id, row.present)):
            entity, entity_id, state = key
            yield Life(
                entity=entity,
                entity_id=entity_id,
                state=state,
                transitions=tuple(
                    Transition(seq=row.seq, state=row.state, at=row.at)
                    for row in group
                    if row.seq is not None
                ),
            )
