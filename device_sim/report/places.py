"""Places: what became of those that phones of each tier were given."""

from __future__ import annotations

from collections.abc import Mapping

from ...protocol.errors import AssignmentExpired, RoundClosed
from ...protocol.record import Count, Record
from ..following.exclusion import TierTally
from ..phones.sessions import SessionOutcome


class Places(Record, frozen=True, kw_only=True):
    """The places of one tier in rounds that train; ``given`` is the sum of all others.

    ``closed_first`` are those whose round had its goal, or its deadline, before they reported,
    ``timed_out`` those that passed their own time-out; both are too late.
    """

    given: Count
    accepted: Count
    closed_first: Count
    timed_out: Count
    silent: Count
    interrupted: Count
    failed: Count

    @property
    def too_late_share(self) -> float:
        """The share of the places that were lost for want of time; 0 without any."""
        return (self.closed_first + self.timed_out) / self.given if self.given else 0.0


def places_of(tiers: Mapping[str, TierTally]) -> dict[str, Places]:
    """The tallies of all tiers, by name; a fleet without tiers has one without a name."""
    return {tier: _places(tiers[tier]) for tier in sorted(tiers)}


def _places(tally: TierTally) -> Places:
    outcomes, late = tally.outcomes, tally.late
    return Places(
        given=tally.given,
        accepted=outcomes[SessionOutcome.ACCEPTED],
        closed_first=late[RoundClosed.code],
        timed_out=late[AssignmentExpired.code],
        silent=outcomes[SessionOutcome.DROPPED],
        interrupted=outcomes[SessionOutcome.INTERRUPTED],
        failed=outcomes[SessionOutcome.FAILED] + outcomes[SessionOutcome.REFUSED],
    )
