"""Tallies: sums over the sessions of a fleet, by round and in all."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from ...protocol.plan import RoundKind
from ..phones.sessions import SessionOutcome, SessionRecord
from .census import Census, Standing


@dataclass(frozen=True)
class RoundTally:
    """One attempt at one round, summed over the sessions of all phones.

    ``num_examples`` sums the accepted ones, of which ``newcomers`` are by phones that never took
    part before; the bytes are those of every session in the round.
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
    bytes_model: int = 0
    bytes_checkpoint: int = 0
    bytes_update: int = 0
    newcomers: int = 0

    def plus(self, record: SessionRecord, *, is_newcomer: bool = False) -> RoundTally:
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
            bytes_model=self.bytes_model + record.bytes_model,
            bytes_checkpoint=self.bytes_checkpoint + record.bytes_checkpoint,
            bytes_update=self.bytes_update + record.bytes_update,
            newcomers=self.newcomers + is_newcomer,
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
        self.bytes_model = self.bytes_checkpoint = self.bytes_update = 0
        self.census = Census()
        self._standings: dict[int, Standing] = {}
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

    def standing_at(self, version: int) -> Standing:
        """How all stood when this version was first asked for; the same whenever it is asked."""
        with self._lock:
            return self._standings.setdefault(version, self.standing())

    def standing(self) -> Standing:
        """How all stands now."""
        with self._lock:
            return Standing(
                check_ins=self.ended,
                turned_away=dict(sorted(self.census.turned_away.items())),
                accepted=self.census.accepted,
                distinct=self.census.distinct,
                bytes_up=self.bytes_up,
                bytes_down=self.bytes_down,
            )

    def _add(self, record: SessionRecord) -> None:
        self.ended += 1
        self.bytes_up += record.bytes_up
        self.bytes_down += record.bytes_down
        self.bytes_model += record.bytes_model
        self.bytes_checkpoint += record.bytes_checkpoint
        self.bytes_update += record.bytes_update
        is_newcomer = self.census.add(record)
        if record.deviation is not None:
            self.deviations.append(record.deviation)
        if record.round == 0:
            self.turned_away += 1
            return
        self.shapes[record.shape] += 1
        tally = self.of(record.round, record.attempt, record.kind)
        grown = tally.plus(record, is_newcomer=is_newcomer)
        self._rounds[record.kind, record.round, record.attempt] = grown

    def rounds(self, kind: RoundKind = RoundKind.TRAIN) -> list[RoundTally]:
        """Every attempt of this kind in which a session has ended, in order."""
        with self._lock:
            return [self._rounds[key] for key in sorted(self._rounds) if key[0] is kind]
