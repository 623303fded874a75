"""Checkpoints: every version of a task's weights, and which updates made it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from sqlalchemy import bindparam, insert, select

from .connected import Connected, Historian
from .prepared import Prepared
from .tables import checkpoints, contributions
from .updates import Update

_NEWEST_CHECKPOINT = Prepared(
    select(checkpoints)
    .where(checkpoints.c.task_id == bindparam("task_id"))
    .order_by(checkpoints.c.version.desc())
    .limit(1)
)
_CHECKPOINT = Prepared(
    select(checkpoints).where(
        checkpoints.c.task_id == bindparam("of_task"),
        checkpoints.c.version == bindparam("of_version"),
    )
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
    parent: int | None = None
    rolled_back_from: int | None = None


class CheckpointQuestions(Connected):
    def checkpoints(self, task_id: int) -> list[Checkpoint]:
        """Every checkpoint of a task, oldest first."""
        query = select(checkpoints).where(checkpoints.c.task_id == task_id)
        rows = self._all(query.order_by(checkpoints.c.version))
        return [Checkpoint(**row._asdict()) for row in rows]

    def newest_checkpoint(self, task_id: int) -> Checkpoint:
        return Checkpoint(**self._the(_NEWEST_CHECKPOINT, task_id=task_id)._asdict())

    def the_checkpoint(self, task_id: int, version: int) -> Checkpoint:
        """A version that is known to be there, such as the one a round works on."""
        return Checkpoint(**self._the(_CHECKPOINT, of_task=task_id, of_version=version)._asdict())

    def checkpoint(self, task_id: int, version: int) -> Checkpoint | None:
        row = self._one(_CHECKPOINT, of_task=task_id, of_version=version)
        return Checkpoint(**row._asdict()) if row else None

    def contributions(self, checkpoint_id: int) -> list[Update]:
        """The manifest of a checkpoint: the updates it was made of, in no order that matters."""
        columns = [contributions.c[field.name] for field in fields(Update)]
        query = select(*columns).where(contributions.c.checkpoint_id == checkpoint_id)
        return [Update(**row._asdict()) for row in self._all(query)]


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
            "parent": version - 1 if version else None,
        }
        query = insert(checkpoints).values(values).returning(checkpoints.c.id)
        return int(self._the(query).id)

    def roll_back(self, newest: Checkpoint, to: Checkpoint, *, now: float) -> Checkpoint:
        """Makes what ``to`` holds the version after ``newest``."""
        again = replace(
            to,
            version=newest.version + 1,
            created_at=now,
            parent=to.version,
            rolled_back_from=newest.version,
        )
        values = asdict(again)
        del values["id"]
        row = self._the(insert(checkpoints).values(values).returning(checkpoints.c.id))
        self._note("checkpoint", row.id, "rolled_back", now=now)
        return replace(again, id=int(row.id))

    def add_contributions(self, checkpoint_id: int, folded: list[Update]) -> None:
        self._connection.execute(
            insert(contributions),
            [{"checkpoint_id": checkpoint_id, **asdict(one)} for one in folded],
        )
