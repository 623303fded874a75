"""Deposits: what an operator has put, and which bytes a task offers."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, exists, insert, or_, select

from .connected import Connected, Historian
from .prepared import Prepared
from .tables import checkpoints, deposits, tasks

_OF_TASK = or_(
    tasks.c.model_sha256 == bindparam("wanted"), tasks.c.manifest_sha256 == bindparam("wanted")
)
_OFFERED = Prepared(
    select(
        or_(
            exists(select(tasks.c.id).where(_OF_TASK)),
            exists(select(checkpoints.c.id).where(checkpoints.c.sha256 == bindparam("wanted"))),
        ).label("is_offered")
    )
)


class DepositQuestions(Connected):
    def deposit_bytes(self, sha256: str) -> int | None:
        """The length of what an operator has put under this name."""
        row = self._one(select(deposits.c.bytes).where(deposits.c.sha256 == sha256))
        return None if row is None else int(row.bytes)

    def is_downloadable(self, sha256: str) -> bool:
        """Whether a task offers these bytes; an update of a device never is."""
        return bool(self._the(_OFFERED, wanted=sha256).is_offered)


class DepositChanges(DepositQuestions, Historian):
    def add_deposit(self, *, sha256: str, length: int, now: float) -> None:
        self._run(insert(deposits).values(sha256=sha256, bytes=length, put_at=now))

    def forget_deposits(self, *, before: float) -> None:
        """Drops what an operator put before then and no task has come to use."""
        used = select(tasks.c.id).where(
            (tasks.c.model_sha256 == deposits.c.sha256)
            | (tasks.c.manifest_sha256 == deposits.c.sha256)
        )
        self._run(delete(deposits).where(deposits.c.put_at < before, ~exists(used)))
