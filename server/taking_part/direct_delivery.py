"""Delivery of updates that devices have put into the store by themselves: the commit after it."""

from __future__ import annotations

from contextlib import suppress

from ...protocol.errors import NotFound, Unavailable, UploadMissing
from ...protocol.messages import AssignmentState, Receipt
from ..blobs import Direct
from ..states import places, rounds
from .delivery import Delivery
from .held import Held, held_by, receipt_of, require_in_time, require_usable


class DirectDelivery(Delivery):
    """Takes reports, updates, and word of updates that lie in the store already."""

    def commit(self, device_id: str, assignment_id: str) -> tuple[Receipt, bool]:
        """Takes the announced bytes that the device has put into the store by itself.

        The checks are those of ``upload``; again, the flag claims that the bytes are new.
        """
        direct = self.blobs.direct
        if direct is None:
            raise NotFound("this server takes bodies itself; put yours to the instruction's url")
        with self.coordinator.turn():
            held = self._await_commit(device_id, assignment_id)
            try:
                is_new = held.assignment.state in rounds.OPEN_STATES and self._fetch(direct, held)
            except UploadMissing:
                # A commit of the same device may have been faster, and has cleared up.
                held = self._await_commit(device_id, assignment_id)
                if held.assignment.state in rounds.OPEN_STATES:
                    raise
                is_new = False
        with suppress(Unavailable):  # what stays behind is swept
            direct.drop(assignment_id)
        return receipt_of(held.assignment), is_new

    def _fetch(self, direct: Direct, held: Held) -> bool:
        """Checks and counts what a device has put; returns whether it is new."""
        place, report = held.assignment, places.announced(held.assignment)
        sha256 = str(report.sha256)
        with direct.fetch(place.id, sha256=sha256, length=report.bytes) as staged:
            staged.require(sha256)
            require_usable(staged, held)
            return self._accept(held, staged)[1]

    def _await_commit(self, device_id: str, assignment_id: str) -> Held:
        """The assignment whose body should lie in the store; a late device is noted as late."""
        with self.store.write() as tx:
            tx.lock_task_of(assignment_id)
            now = self.clock()
            held = held_by(tx, device_id, assignment_id)
            sha256 = places.announced(held.assignment).sha256
            after = self._on_upload(tx, held, str(sha256), now)
            if after.state is AssignmentState.LATE:
                self.coordinator.move(tx, held.assignment, after, now=now)
        require_in_time(after)
        return held
