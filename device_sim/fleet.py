"""A fleet: N phones against one server, on a virtual clock or on the real one.

``VirtualFleet`` wakes one phone at a time in the order of a simulated clock that the server shares,
so the same seed gives the same run. ``LiveFleet`` wakes phones when they are due on a real clock,
from several threads: LiteRT releases the interpreter lock while it computes.
"""

from __future__ import annotations

import heapq
import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ..client import Session
from .conditions import Conditions, arrival_s, on_a_real_clock
from .ownership import Ownership
from .phone import Phone
from .phone_client import Board, PhoneClient
from .retrying import RetryPolicy
from .sessions import SessionRecord, Tallies
from .shelf import Shelf
from .surroundings import Surroundings
from .trainers import LiteRTTrainer, NewTrainer, TrainerPool

Observer = Callable[[SessionRecord], None]


@dataclass(frozen=True)
class FleetSettings:
    """Who the phones are and how they behave; ``seed`` decides every draw.

    The phones check in first at a uniform instant of the first ``arrive_within_s`` seconds.
    """

    population: str
    seed: int = 0
    conditions: Conditions = field(default_factory=Conditions)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    arrive_within_s: float = 1.0


class VirtualClock:
    """Seconds that pass only when somebody moves them; give ``now`` to the server too."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s

    def now(self) -> float:
        return self._now_s

    def advance_to(self, instant_s: float) -> None:
        self._now_s = max(self._now_s, instant_s)


class VirtualFleet:
    """Phones on a virtual clock; single-threaded and deterministic."""

    def __init__(
        self,
        settings: FleetSettings,
        *,
        owned: Ownership,
        session: Session,
        clock: VirtualClock,
        new_trainer: NewTrainer = LiteRTTrainer,
        observe: Observer | None = None,
    ) -> None:
        self.tallies = Tallies(observe)
        self._clock = clock
        around = _surroundings(settings, clock.now, new_trainer, self.tallies)
        board = Board()
        drawn = [
            settings.conditions.of_phone(seed=settings.seed, device=device)
            for device in range(owned.phones)
        ]
        self.phones = [
            Phone(
                owned.of(device),
                conditions=conditions,
                client=PhoneClient(session, mischief=conditions.mischief, board=board),
                surroundings=around,
            )
            for device, conditions in enumerate(drawn)
        ]
        self._agenda = _agenda(settings, owned.phones, clock.now())

    def run(self, *, until: Callable[[], bool]) -> None:
        """Wakes phones in order until ``until``, asked whenever a session has ended, says so.

        Then every phone that holds a place gives it back.
        """
        ended = self.tallies.ended
        while self._agenda and self._agenda[0][0] < math.inf:
            due_s, device = heapq.heappop(self._agenda)
            self._clock.advance_to(due_s)
            heapq.heappush(self._agenda, (self.phones[device].wake(), device))
            if self.tallies.ended > ended:
                ended = self.tallies.ended
                if until():
                    break
        for phone in self.phones:
            phone.leave()


class LiveFleet:
    """Phones on a real clock; a context manager that runs them in the background.

    Leaving it lets the steps under way finish and gives open places back. An error that is not a
    phone's own ends the fleet: ``is_running`` turns false and leaving raises it.
    """

    def __init__(
        self,
        settings: FleetSettings,
        *,
        owned: Ownership,
        session: Session,
        workers: int | None = None,
        new_trainer: NewTrainer = LiteRTTrainer,
        observe: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tallies = Tallies(observe)
        self._clock = clock
        self._workers = workers or os.cpu_count() or 1
        around = _surroundings(settings, clock, new_trainer, self.tallies)
        drop_out = settings.conditions.drop_out
        self.phones = [
            Phone(
                owned.of(device),
                conditions=on_a_real_clock(drop_out=drop_out, seed=settings.seed, device=device),
                client=PhoneClient(session),
                surroundings=around,
            )
            for device in range(owned.phones)
        ]
        self._settings = settings
        self._agenda: list[tuple[float, int]] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._work: list[Future[None]] = []

    @property
    def is_running(self) -> bool:
        return bool(self._work) and not self._stopping

    def __enter__(self) -> Self:
        self._agenda = _agenda(self._settings, len(self.phones), self._clock())
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="phones")
        self._work = [self._pool.submit(self._serve) for _ in range(self._workers)]
        for work in self._work:
            work.add_done_callback(lambda _: self._stop())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        self._pool.shutdown(wait=True)
        for phone in self.phones:
            phone.leave()
        if error is None:
            for work in self._work:
                work.result()

    def _serve(self) -> None:
        """Wakes due phones one after the other; a phone is in one thread at a time."""
        while (device := self._next_due()) is not None:
            due_s = self.phones[device].wake()
            # A session that need not wait goes on at once, so that started work is reported early.
            while due_s <= self._clock() and not self._stopping:
                due_s = self.phones[device].wake()
            with self._changed:
                heapq.heappush(self._agenda, (due_s, device))
                self._changed.notify()

    def _next_due(self) -> int | None:
        """Waits for the next due phone and takes it off the agenda; None when the fleet stops."""
        with self._changed:
            while not self._stopping:
                wait_s = self._agenda[0][0] - self._clock() if self._agenda else None
                if wait_s is not None and wait_s <= 0:
                    return heapq.heappop(self._agenda)[1]
                self._changed.wait(wait_s)
        return None

    def _stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()


def _surroundings(
    settings: FleetSettings,
    clock: Callable[[], float],
    new_trainer: NewTrainer,
    tallies: Tallies,
) -> Surroundings:
    return Surroundings(
        population=settings.population,
        retry=settings.retry,
        clock=clock,
        trainers=TrainerPool(new_trainer),
        shelf=Shelf(),
        observe=tallies.add,
    )


def _agenda(settings: FleetSettings, phones: int, now_s: float) -> list[tuple[float, int]]:
    """When each phone checks in first, as a heap."""
    arrivals = [
        (
            now_s + arrival_s(seed=settings.seed, device=device, within_s=settings.arrive_within_s),
            device,
        )
        for device in range(phones)
    ]
    heapq.heapify(arrivals)
    return arrivals
