"""Leases: which coordinator folds a round, and until when the others leave it alone.

A lease keeps two coordinators from the same work; what keeps them from committing it twice is the
round's epoch.
"""

from __future__ import annotations

from sqlalchemy import bindparam, delete, insert, select, update

from .connected import Historian
from .prepared import Prepared
from .tables import leases

_LEASE = Prepared(
    select(leases.c.owner, leases.c.ends_at).where(leases.c.round_id == bindparam("of_round"))
)
_DROP = Prepared(delete(leases).where(leases.c.round_id == bindparam("of_round")))
_RENEW = Prepared(
    update(leases)
    .where(leases.c.round_id == bindparam("of_round"), leases.c.owner == bindparam("of_owner"))
    .values(ends_at=bindparam("until"))
)


class LeaseChanges(Historian):
    def take_lease(self, round_id: int, *, owner: str, now: float, ends_at: float) -> bool:
        """Whether the round is this owner's now; its task is locked."""
        held = self._one(_LEASE, of_round=round_id)
        if held is not None and held.owner != owner and held.ends_at > now:
            return False
        self.drop_lease(round_id)
        self._run(insert(leases), round_id=round_id, owner=owner, ends_at=ends_at)
        return True

    def renew_lease(self, round_id: int, *, owner: str, ends_at: float) -> bool:
        """Whether the lease was still this owner's."""
        values = {"of_round": round_id, "of_owner": owner, "until": ends_at}
        return bool(self._execute(_RENEW, values).rowcount == 1)

    def drop_lease(self, round_id: int) -> None:
        self._run(_DROP, of_round=round_id)
