"""What happens is counted where it happens, in the format of Prometheus."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from .processes import VARIABLE

REQUEST_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
STALENESS_BUCKETS = (0, 1, 2, 3, 5, 10, 20, 50, 100)
FOLD_BUCKETS_S = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300)


class Metrics:
    """The counts of one application; ``state`` adds what is read from the database."""

    media_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, state: Collector, *, timer: Callable[[], float]) -> None:
        self._state = state
        self._timer = timer
        own = self._own = CollectorRegistry()
        self._requests = Counter(
            "pocketfed_requests",
            "Requests answered; code is that of the problem document, if there was one.",
            ["method", "route", "status", "code"],
            registry=own,
        )
        self._duration = Histogram(
            "pocketfed_request_duration_seconds",
            "Time from the head of a request to its answer.",
            ["method", "route"],
            registry=own,
            buckets=REQUEST_BUCKETS_S,
        )
        # A label's child is found by locking and making text of all values: it is kept instead.
        self._requests_of = cache(self._requests.labels)
        self._duration_of = cache(self._duration.labels)
        self._rejections = Counter(
            "pocketfed_rejections", "Devices turned away.", ["reason"], registry=own
        )
        self._refused = Counter(
            "pocketfed_refused_uploads", "Uploads refused.", ["code"], registry=own
        )
        self._uploaded = Counter(
            "pocketfed_uploaded_bytes", "Bytes of accepted updates.", registry=own
        )
        self._folded = Counter(
            "pocketfed_folded_updates", "Updates added up for a checkpoint.", registry=own
        )
        self._fold_duration = Histogram(
            "pocketfed_fold_duration_seconds",
            "Time to turn a round's updates into weights; its count is that of the folds.",
            registry=own,
            buckets=FOLD_BUCKETS_S,
        )

        self._staleness = Histogram(
            "pocketfed_update_staleness",
            "Versions that the updates of buffers were behind when they were folded.",
            registry=own,
            buckets=STALENESS_BUCKETS,
        )

    def request(
        self, *, method: str, route: str, status: int, code: str, duration_s: float
    ) -> None:
        self._requests_of(method, route, str(status), code).inc()
        self._duration_of(method, route).observe(duration_s)

    def reject(self, reason: str) -> None:
        self._rejections.labels(reason).inc()

    def refuse(self, code: str) -> None:
        self._refused.labels(code).inc()

    def accept(self, length: int) -> None:
        self._uploaded.inc(length)

    @contextmanager
    def fold(self, updates: int, stalenesses: Sequence[int]) -> Iterator[None]:
        """Measures the block that folds so many updates, and how stale those of a buffer are."""
        started_s = self._timer()
        yield
        self._folded.inc(updates)
        for staleness in stalenesses:
            self._staleness.observe(staleness)
        self._fold_duration.observe(self._timer() - started_s)

    def expose(self) -> bytes:
        """Everything as text, over all processes that count together."""
        parts = [self._own]
        if VARIABLE in os.environ:
            shared = CollectorRegistry()
            MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
            parts = [shared]
        state = CollectorRegistry()
        state.register(self._state)
        return b"".join(generate_latest(part) for part in [*parts, state])
