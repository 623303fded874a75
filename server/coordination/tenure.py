"""A coordinator's hold on a round while it folds: a lease, renewed until the fold is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from absl import logging

from ...protocol.errors import Unavailable
from ..store import Store, Writing

_RENEWALS_PER_LEASE = 3


class Tenure:
    """What one ``owner`` holds, for ``lease_s`` at a time by the clock."""

    def __init__(
        self, store: Store, *, clock: Callable[[], float], owner: str, lease_s: float
    ) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._lease_s = lease_s

    def begin(self, tx: Writing, round_id: int) -> bool:
        """Takes a round, unless another owner's lease on it has not ended; its task is locked."""
        now = self._clock()
        return tx.take_lease(round_id, owner=self._owner, now=now, ends_at=now + self._lease_s)

    @contextmanager
    def kept(self, round_id: int) -> Iterator[None]:
        """Renews the lease in a thread of its own until the block has ended."""
        over = threading.Event()
        thread = threading.Thread(
            target=self._renew, args=(round_id, over), name="lease", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _renew(self, round_id: int, over: threading.Event) -> None:
        """Stops when the lease is lost: the epoch then keeps this fold from being committed."""
        while not over.wait(self._lease_s / _RENEWALS_PER_LEASE):
            try:
                with self._store.write() as tx:
                    ends_at = self._clock() + self._lease_s
                    if not tx.renew_lease(round_id, owner=self._owner, ends_at=ends_at):
                        return
            except Unavailable:
                logging.warning("the lease of round %d could not be renewed yet", round_id)
