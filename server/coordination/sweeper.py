"""The sweeper removes bytes that nothing refers to, while other processes put theirs.

Updates of closed rounds go when they have been kept long enough. What a killed process has left
goes by its age, which the storage measures itself: bodies that never arrived whole, bytes whose row
was never committed. Age only says when to look. That nothing acknowledged is lost rests on
``Writing.lock_blob``: a name is published and its row committed, or found rowless and removed,
by one transaction at a time.
"""

from __future__ import annotations

from absl import logging

from ...protocol.admin import TaskStatus
from ...protocol.errors import Unavailable
from ..blobs import Blobs
from ..store import Reading, Store

ORPHAN_TTL_S = 24 * 3600.0
ARRIVAL_MARGIN_S = 3600.0
RELEASED_AT_ONCE = 500


class Sweeper:
    """Looks for what may go every ``every_s`` seconds, run by whoever coordinates.

    Updates stay for ``keep_updates_s`` after their round was closed.
    """

    def __init__(
        self, store: Store, blobs: Blobs, *, every_s: float, keep_updates_s: float
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._every_s = every_s
        self._keep_updates_s = keep_updates_s
        self._swept_at: float | None = None

    def run(self, now: float) -> None:
        """Sweeps if it is time to; a storage that does not answer is asked again next time."""
        if self._swept_at is not None and 0.0 <= now - self._swept_at < self._every_s:
            return
        self._swept_at = now
        try:
            self.sweep(now)
        except Unavailable as error:
            logging.warning("nothing was swept: %s", error)

    def release(self, now: float) -> None:
        """Removes the updates of rounds that were closed long enough ago."""
        closed_by = now - self._keep_updates_s
        while names := self._spent(closed_by):
            with self._store.write() as tx:
                for name in names:
                    tx.lock_blob(name)
                self._blobs.remove(*tx.release_updates(names, closed_by=closed_by))
            if len(names) < RELEASED_AT_ONCE:
                return

    def next_release(self, view: Reading) -> float:
        """When there will be updates to remove; infinite when none are kept."""
        return view.first_closed_with_updates() + self._keep_updates_s

    def sweep(self, now: float) -> None:
        """Removes old bodies that never became blobs, and old blobs that no row refers to."""
        self._blobs.drop_arrivals(older_than_s=self._longest_upload_s() + ARRIVAL_MARGIN_S)
        with self._store.write() as tx:
            tx.forget_deposits(before=now - ORPHAN_TTL_S)
            tx.forget_buckets(before=now - ORPHAN_TTL_S)
            needed = tx.needed_blobs()
        for name in self._blobs.names(older_than_s=ORPHAN_TTL_S):
            if name not in needed:
                self._remove_orphan(name)

    def _spent(self, closed_by: float) -> list[str]:
        with self._store.read() as view:
            return view.spent_updates(closed_by=closed_by, limit=RELEASED_AT_ONCE)

    def _remove_orphan(self, name: str) -> None:
        with self._store.write() as tx:
            tx.lock_blob(name)
            if not tx.is_needed(name):
                self._blobs.remove(name)

    def _longest_upload_s(self) -> float:
        with self._store.read() as view:
            running = [task for task in view.tasks() if task.status is TaskStatus.RUNNING]
        return max((task.message.settings.upload_timeout_s for task in running), default=0.0)
