"""Visits: which devices check in for a population, and how often a sender asks."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, func, select

from ..trust.limits import Bucket
from .connected import Connected, Historian
from .prepared import Prepared
from .tables import buckets, visits

_SEEN = Prepared(
    select(func.count())
    .select_from(visits)
    .where(
        visits.c.population == bindparam("population"),
        visits.c.seen_at > bindparam("since"),
    )
)
_BUCKET = Prepared(select(buckets).where(buckets.c.sender == bindparam("of_sender")))


class VisitQuestions(Connected):
    def devices_seen(self, population: str, *, since: float) -> int:
        """How many devices have checked in for a population after ``since``."""
        return int(self._the(_SEEN, population=population, since=since)[0])

    def bucket(self, sender: str) -> Bucket | None:
        row = self._one(_BUCKET, of_sender=sender)
        return None if row is None else Bucket(tokens=row.tokens, at=row.at)


class VisitChanges(VisitQuestions, Historian):
    def note_visit(self, *, population: str, device_id: str, now: float) -> None:
        self._put(visits, {"population": population, "device_id": device_id}, {"seen_at": now})

    def keep_bucket(self, sender: str, bucket: Bucket) -> None:
        self._put(buckets, {"sender": sender}, {"tokens": bucket.tokens, "at": bucket.at})

    def forget_buckets(self, *, before: float) -> None:
        """Drops buckets that have been full again since."""
        self._run(delete(buckets).where(buckets.c.at < before))
