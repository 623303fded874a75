"""Sessions: what became of each place a phone was given, and the sums over rounds."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from ..protocol.errors import AssignmentExpired, PocketFedError, RoundClosed
from ..protocol.plan import RoundKind


class SessionOutcome(StrEnum):
    """How a session ended, as the phone saw it."""

    ACCEPTED = "accepted"
    LATE = "late"
    DROPPED = "dropped"
    FAILED = "failed"
    REFUSED = "refused"
    TURNED_AWAY = "turned_away"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class SessionRecord:
    """One session, from check-in to its end.

    ``shape`` draws it as in Bonawitz et al. 2019 (section 5): ``-`` checked in, ``v`` plan and
    model here, ``[`` training, ``]`` trained, ``+`` upload, ``^`` acknowledged, ``#`` rejected,
    ``!`` interrupted, ``*`` error. ``(`` and ``)`` stand for measuring instead of training. A
    session that was turned away has round 0. ``began_s`` and ``ended_s`` are instants of the
    fleet's clock; ``tier`` is the phone's class of speed, empty where there are none. ``deviation``
    is how far two trainers were apart, where the training was compared.
    """

    device: int
    round: int
    attempt: int
    outcome: SessionOutcome
    shape: str
    num_examples: int
    bytes_up: int
    bytes_down: int
    detail: str = ""
    kind: RoundKind = RoundKind.TRAIN
    began_s: float = 0.0
    ended_s: float = 0.0
    tier: str = ""
    deviation: float | None = None


@dataclass(frozen=True)
class RoundTally:
    """One attempt at one round, summed over the sessions of all phones.

    ``num_examples`` sums the accepted ones; the bytes are those of every session in the round.
    """

    round: int
    attempt: int
    accepted: int = 0
    late: int = 0
    dropped: int = 0
    failed: int = 0
    refused: int = 0
    interrupted: int = 0
    num_examples: int = 0
    bytes_up: int = 0
    bytes_down: int = 0

    def plus(self, record: SessionRecord) -> RoundTally:
        """This tally with one more session in it."""
        outcome = record.outcome
        accepted = outcome is SessionOutcome.ACCEPTED
        return replace(
            self,
            accepted=self.accepted + accepted,
            late=self.late + (outcome is SessionOutcome.LATE),
            dropped=self.dropped + (outcome is SessionOutcome.DROPPED),
            failed=self.failed + (outcome is SessionOutcome.FAILED),
            refused=self.refused + (outcome is SessionOutcome.REFUSED),
            interrupted=self.interrupted + (outcome is SessionOutcome.INTERRUPTED),
            num_examples=self.num_examples + (record.num_examples if accepted else 0),
            bytes_up=self.bytes_up + record.bytes_up,
            bytes_down=self.bytes_down + record.bytes_down,
        )


class Tallies:
    """Sums over sessions as they end; safe to fill and to read from several threads.

    ``observe`` is called with every session, by one thread at a time.
    """

    def __init__(self, observe: Callable[[SessionRecord], None] | None = None) -> None:
        self.ended = 0
        self.turned_away = 0
        self.bytes_up = 0
        self.bytes_down = 0
        self.shapes: Counter[str] = Counter()
        self.deviations: list[float] = []
        self._rounds: dict[tuple[RoundKind, int, int], RoundTally] = {}
        self._observe = observe
        self._lock = threading.RLock()

    def take_over(self, other: Tallies) -> None:
        """Goes on with the sums of another."""
        with self._lock:
            vars(self).update(other.__getstate__())

    def __getstate__(self) -> dict[str, object]:
        left_out = ("_observe", "_lock")
        return {name: value for name, value in vars(self).items() if name not in left_out}

    def add(self, record: SessionRecord) -> None:
        with self._lock:
            self._add(record)
            if self._observe is not None:
                self._observe(record)

    def of(self, round_: int, attempt: int, kind: RoundKind = RoundKind.TRAIN) -> RoundTally:
        """The tally of one attempt so far; all zeros when no session in it has ended."""
        with self._lock:
            return self._rounds.get((kind, round_, attempt), RoundTally(round_, attempt))

    def _add(self, record: SessionRecord) -> None:
        self.ended += 1
        self.bytes_up += record.bytes_up
        self.bytes_down += record.bytes_down
        if record.deviation is not None:
            self.deviations.append(record.deviation)
        if record.round == 0:
            self.turned_away += 1
            return
        self.shapes[record.shape] += 1
        tally = self.of(record.round, record.attempt, record.kind)
        self._rounds[record.kind, record.round, record.attempt] = tally.plus(record)

    def rounds(self, kind: RoundKind = RoundKind.TRAIN) -> list[RoundTally]:
        """Every attempt of this kind in which a session has ended, in order."""
        with self._lock:
            return [self._rounds[key] for key in sorted(self._rounds) if key[0] is kind]


def ending_of(error: PocketFedError) -> tuple[SessionOutcome, str]:
    """How a session that met this error ended, and its mark."""
    if isinstance(error, (RoundClosed, AssignmentExpired)):
        return SessionOutcome.LATE, "#"
    if error.retryable:
        return SessionOutcome.FAILED, "*"
    return SessionOutcome.REFUSED, "#"
