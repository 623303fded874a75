"""Blobs as the tables know them: which bytes something refers to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, or_, select, union

from .connected import Connected
from .tables import checkpoints, deposits, updates


class BlobQuestions(Connected):
    def needed_blobs(self) -> frozenset[str]:
        """The names of all bytes that something still refers to."""
        return frozenset(self._connection.scalars(union(*_references())))

    def is_needed(self, sha256: str) -> bool:
        """Whether anything still refers to these bytes."""
        found = [query.where(query.selected_columns[0] == sha256) for query in _references()]
        return bool(self._connection.scalar(select(or_(*(query.exists() for query in found)))))


def _references() -> list[Select[Any]]:
    return [
        select(deposits.c.sha256),
        select(checkpoints.c.sha256),
        select(checkpoints.c.state_sha256).where(checkpoints.c.state_sha256.is_not(None)),
        select(updates.c.sha256).where(updates.c.is_stored),
    ]
