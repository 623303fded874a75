"""Checkpoints: every version of a task's weights, and which updates made it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from sqlalchemy import bindparam, insert, select

from ..tables import checkpoints, contributions
from .connected import Connected, Historian
from .updates import Update

_NEWEST_CHECKPOINT = (
    select(checkpoints)
    .where(checkpoints.c.task_id == bindparam("task_id"))
    .order_by(checkpoints.c.version.desc())
    .limit(1)
)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One version of a task's global weights, and the server optimizer's state beside it."""

    id: int
    task_id: int
    version: int
    sha256: str
    bytes: int
    created_at: float
    state_sha256: str | None = None


class CheckpointQuestions(Connected):
    def checkpoints(self, task_id: int) -> list[Checkpoint]:
        """Every checkpoint of a task, oldest first."""
        query = select(checkpoints).where(checkpoints.c.task_id == task_id)
        rows = self._all(query.order_by(checkpoints.c.version))
        return [Checkpoint(**row._mapping) for row in rows]

    def newest_checkpoint(self, task_id: int) -> Checkpoint:
        return Checkpoint(**self._the(_NEWEST_CHECKPOINT, task_id=task_id)._mapping)

    def contributions(self, checkpoint_id: int) -> list[Update]:
        """The manifest of a checkpoint: the updates it was made of, in no order that matters."""
        columns = [contributions.c[field.name] for field in fields(Update)]
        query = select(*columns).where(contributions.c.checkpoint_id == checkpoint_id)
        return [Update(**row._mapping) for row in self._all(query)]


class CheckpointChanges(CheckpointQuestions, Historian):
    def add_checkpoint(
        self,
        *,
        task_id: int,
        version: int,
        sha256: str,
        length: int,
        state_sha256: str | None = None,
        now: float,
    ) -> int:
        """Returns the checkpoint's id."""
        values = {
            "task_id": task_id,
            "version": version,
            "sha256": sha256,
            "bytes": length,
            "created_at": now,
            "state_sha256": state_sha256,
        }
        query = insert(checkpoints).values(values).returning(checkpoints.c.id)
        return int(self._the(query).id)

    def add_contributions(self, checkpoint_id: int, folded: list[Update]) -> None:
        self._connection.execute(
            insert(contributions),
            [{"checkpoint_id": checkpoint_id, **asdict(one)} for one in folded],
        )
