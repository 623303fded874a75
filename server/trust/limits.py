"""Limits: how often one sender may ask, as a bucket that fills while time passes."""

from __future__ import annotations

from dataclasses import dataclass

HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Limit:
    """``per_hour`` requests in the long run, ``burst`` at once; none at all when 0 per hour."""

    per_hour: float
    burst: int

    @property
    def is_set(self) -> bool:
        return self.per_hour > 0


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """The requests a sender still has, as of ``at``."""

    tokens: float
    at: float


def spend(bucket: Bucket | None, limit: Limit, *, now: float) -> tuple[Bucket, float]:
    """Takes one request out of a bucket; the second value is the wait in seconds, 0 for none.

    A clock that was set back fills nothing and takes nothing.
    """
    if bucket is None:
        return Bucket(tokens=limit.burst - 1, at=now), 0.0
    filled = max(0.0, now - bucket.at) * limit.per_hour / HOUR_S
    tokens = min(float(limit.burst), bucket.tokens + filled)
    if tokens >= 1:
        return Bucket(tokens=tokens - 1, at=now), 0.0
    return bucket, (1 - tokens) * HOUR_S / limit.per_hour
