"""A queue in front of places that work: of the jobs that wait, the longest goes first."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from ...protocol.errors import PocketFedError, WorkerLost
from .bench import Bench, Read
from .jobs import Done, Job

# A phone's own error is an outcome too: it crosses to this process as a value.
Outcome = Done | PocketFedError
# Bodies by SHA-256, or whatever stands for them where the place is.
Place = Callable[[Job, Mapping[str, Any]], "Future[Outcome]"]
_Waiting = tuple[int, float, int, Job, Mapping[str, Any], "Future[Done]"]


def outcome_of(bench: Bench, job: Job, read: Read) -> Outcome:
    try:
        return bench.do(job, read)
    except PocketFedError as error:
        return error


class LongestFirst:
    """Hands jobs to free places, the one of most steps first (greedy, Graham 1969).

    Of equal ones the one whose outcome is asked for first: who asks then waits less, and does the
    rest of that phone's session while others are still trained.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self._free = list(places)
        self._waiting: list[_Waiting] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def submit(self, job: Job, bodies: Mapping[str, Any]) -> Future[Done]:
        done: Future[Done] = Future()
        with self._lock:
            waiting = (-job.steps, job.due_s, next(self._numbers), job, bodies, done)
            heapq.heappush(self._waiting, waiting)
        self._hand_out()
        return done

    def drop_waiting(self) -> None:
        """Forgets the jobs that nobody has begun."""
        with self._lock:
            self._waiting.clear()

    def _hand_out(self) -> None:
        while (pair := self._next()) is not None:
            place, (*_, job, bodies, done) = pair
            try:
                place(job, bodies).add_done_callback(partial(self._settle, place, job, done))
            except RuntimeError as error:  # A broken pool takes no more jobs.
                done.set_exception(_lost(job, error))

    def _next(self) -> tuple[Place, _Waiting] | None:
        with self._lock:
            if not self._free or not self._waiting:
                return None
            return self._free.pop(), heapq.heappop(self._waiting)

    def _settle(self, place: Place, job: Job, done: Future[Done], outcome: Future[Outcome]) -> None:
        with self._lock:
            self._free.append(place)
        if outcome.cancelled():
            done.cancel()
        elif (error := outcome.exception()) is not None:
            done.set_exception(_lost(job, error))
        elif isinstance(found := outcome.result(), PocketFedError):
            done.set_exception(found)
        else:
            done.set_result(found)
        self._hand_out()


def _lost(job: Job, error: BaseException) -> WorkerLost:
    lost = WorkerLost(
        f"the worker that trained for phone {job.device} in round {job.round} ended without a "
        f"result: {type(error).__name__}: {error}; look for a lack of memory and run again"
    )
    lost.__cause__ = error
    return lost
