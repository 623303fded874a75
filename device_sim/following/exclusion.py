"""Exclusion: which tiers of phones take part, and which come too late, by their sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..phones.sessions import SessionOutcome, SessionRecord


@dataclass
class TierTally:
    """The sessions of one tier: how each ended, and how many examples counted.

    ``late`` has the reasons of those that came too late: the round had closed, as with
    over-selection it does when the faster ones are enough, or the phone's own time-out had passed.
    """

    outcomes: Counter[SessionOutcome] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    num_examples: int = 0
    session_s: float = 0.0

    @property
    def given(self) -> int:
        """Places that phones of this tier were given."""
        return self.outcomes.total()

    @property
    def excluded_share(self) -> float:
        """The share of its places whose update came too late; 0 without any."""
        return self.outcomes[SessionOutcome.LATE] / self.given if self.given else 0.0

    def add(self, record: SessionRecord) -> None:
        self.outcomes[record.outcome] += 1
        self.session_s += record.ended_s - record.began_s
        if record.outcome is SessionOutcome.LATE:
            self.late[record.reason] += 1
        if record.outcome is SessionOutcome.ACCEPTED:
            self.num_examples += record.num_examples


def by_tier(records: Iterable[SessionRecord]) -> dict[str, TierTally]:
    """Sums sessions by the tier of their phones; those that were turned away had no place."""
    tallies: dict[str, TierTally] = {}
    for record in records:
        if record.round:
            tallies.setdefault(record.tier, TierTally()).add(record)
    return tallies
