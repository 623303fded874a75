"""A fleet: N phones against one server, on a virtual clock or on the real one.

``VirtualFleet`` wakes one phone at a time in the order of a simulated clock that the server shares,
so the same seed gives the same run. ``LiveFleet`` wakes phones when they are due on a real clock,
from several threads: LiteRT releases the interpreter lock while it computes.
"""

from __future__ import annotations

import heapq
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ..client import Session
from .agenda import Agenda, Instants
from .conditions import Conditions, arrivals_s, on_a_real_clock
from .following.tallies import Tallies
from .freezing import freeze, thaw
from .ownership import Ownership
from .phones.encoding import Debts
from .phones.memory import Memories
from .phones.phone import Phone
from .phones.phone_client import Board, PhoneClient
from .phones.retrying import RetryPolicy
from .phones.sessions import SessionRecord
from .phones.shelf import Shelf
from .phones.surroundings import Surroundings
from .training.trainers import LiteRTTrainer, NewTrainer
from .workers import Inline, Workers

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
    """Phones on a virtual clock; deterministic. Workers may train beside its one thread.

    A phone is made when it is due and lasts for a session; asleep it is an entry of two tables. So
    the memory of a run follows the phones at work.
    """

    def __init__(
        self,
        settings: FleetSettings,
        *,
        owned: Ownership,
        session: Session,
        clock: VirtualClock,
        new_trainer: NewTrainer = LiteRTTrainer,
        workers: Workers | None = None,
        observe: Observer | None = None,
        debts: Debts | None = None,
    ) -> None:
        self.tallies = Tallies(observe)
        self._settings, self._clock, self._session = settings, clock, session
        self._owned = owned
        workers = workers or Inline(self._owned, new_trainer)
        self._around = _surroundings(settings, clock.now, workers, self.tallies, debts)
        self._memories = Memories(self._owned.phones)
        self._agenda = Agenda(_arrivals_s(settings, self._owned.phones, clock.now()))
        self._awake: dict[int, Phone] = {}
        self._board = Board()

    @property
    def awake(self) -> int:
        """How many phones are in a session."""
        return len(self._awake)

    def run(self, *, until: Callable[[], bool]) -> None:
        """Wakes phones in order until ``until``, asked whenever a session has ended, says so.

        Then every phone that holds a place gives it back.
        """
        ended = self.tallies.ended
        while (due := self._agenda.pop()) is not None:
            due_s, device = due
            self._clock.advance_to(due_s)
            self._agenda.put(device, self._wake(device))
            if self.tallies.ended > ended:
                ended = self.tallies.ended
                if until():
                    break
        for device in sorted(self._awake):
            self._awake[device].leave()
            self._let_sleep(device)

    def freeze(self) -> bytes:
        """The whole state between two steps, asked for in ``until``; jobs are waited for.

        A fleet of the same making that thaws it goes on as this one does.
        """
        around = self._around
        held = self._memories.held.union(*(one.memory.held for one in self._awake.values()))
        phones = (self._agenda, self._memories, self._awake, self._board)
        state = (phones, self.tallies, around.debts.open)
        shared = (around.shelf.bodies(sorted(held)), self._clock.now())
        return freeze((state, shared), left_out=self._of_this_process)

    def thaw(self, frozen: bytes) -> None:
        """Takes over the state, the clock's included, that another fleet has left."""
        state, (bodies, now_s) = thaw(frozen, put_back=self._of_this_process)
        phones, tallies, self._around.debts.open = state
        self._agenda, self._memories, self._awake, self._board = phones
        self.tallies.take_over(tallies)
        for name, body in bodies.items():
            self._around.shelf.put(name, body)
        self._clock.advance_to(now_s)

    def forget_paid(self) -> None:
        """Lets go of what only an older frozen state needs."""
        self._around.debts.forget_paid()

    @property
    def _of_this_process(self) -> dict[str, object]:
        around = self._around
        named = {"around": around, "shelf": around.shelf, "session": self._session}
        return {**named, "clock": self._clock}

    def _wake(self, device: int) -> float:
        """Lets a phone take its next step; returns when it wants to be woken again."""
        if device not in self._awake:
            self._awake[device] = self._phone(device)
        due_s = self._awake[device].wake()
        if self._awake[device].is_asleep:
            self._let_sleep(device)
        return due_s

    def _phone(self, device: int) -> Phone:
        """A phone as it fell asleep."""
        settings = self._settings
        conditions = settings.conditions.of_phone(seed=settings.seed, device=device)
        return Phone(
            self._owned.num_examples(device),
            conditions=conditions,
            client=PhoneClient(self._session, mischief=conditions.mischief, board=self._board),
            surroundings=self._around,
            memory=self._memories[device],
        )

    def _let_sleep(self, device: int) -> None:
        self._memories[device] = self._awake.pop(device).memory


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
        around = _surroundings(settings, clock, Inline(owned, new_trainer), self.tallies)
        drop_out = settings.conditions.drop_out
        self.phones = [
            Phone(
                owned.num_examples(device),
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
        arrivals_s = _arrivals_s(self._settings, len(self.phones), self._clock())
        self._agenda = [(due_s, device) for device, due_s in enumerate(arrivals_s.tolist())]
        heapq.heapify(self._agenda)
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
    workers: Workers,
    tallies: Tallies,
    debts: Debts | None = None,
) -> Surroundings:
    return Surroundings(
        population=settings.population,
        retry=settings.retry,
        clock=clock,
        workers=workers,
        shelf=Shelf(),
        debts=debts or Debts(),
        observe=tallies.add,
    )


def _arrivals_s(settings: FleetSettings, phones: int, now_s: float) -> Instants:
    """When each phone checks in first, on the fleet's clock."""
    within_s = settings.arrive_within_s
    return now_s + arrivals_s(seed=settings.seed, phones=phones, within_s=within_s)
