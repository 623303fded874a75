"""A monitor follows a task: it evaluates every new checkpoint once and tells it as a row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypedDict

from ...protocol import wire
from ...protocol.admin import (
    CheckpointSummary,
    EvaluationSource,
    RoundPhase,
    RoundSummary,
    TaskHistory,
    TaskStatus,
)
from ...protocol.errors import Unavailable
from ...protocol.record import Metrics
from ...protocol.weights import WeightSpec
from ..data.examples import Examples
from ..training.trainers import Trainer
from .census import Standing
from .tallies import RoundTally

MISSES = 100


@dataclass(frozen=True)
class RoundRow:
    """A committed round and how good its checkpoint is; round 0 is the untrained model.

    ``late``, ``dropped`` and the bytes are the phones' own account as it stood when the row was
    made, see ``Monitor.settled``; ``seconds`` counts from the opening of the task's first round,
    on the server's clock. ``checkpoint`` is the SHA-256 of the weights. ``phones_accuracy`` and
    ``phones_loss`` are what phones measured of it on their own examples, None if they did not.
    Of ``bytes_down`` some were the model with its manifest and some the checkpoint, of ``bytes_up``
    some were updates. ``newcomers`` are accepted phones that had never taken part before;
    ``staleness`` is how many versions the updates of a buffer were behind, in the mean, None
    without one. ``standing`` sums up all that had been when the checkpoint was first seen.
    """

    round: int
    attempt: int
    accuracy: float
    loss: float
    train_loss: float | None
    accepted: int
    late: int
    dropped: int
    num_examples: int
    bytes_up: int
    bytes_down: int
    seconds: float
    checkpoint: str
    phones_accuracy: float | None = None
    phones_loss: float | None = None
    bytes_model: int = 0
    bytes_checkpoint: int = 0
    bytes_update: int = 0
    newcomers: int = 0
    staleness: float | None = None
    standing: Standing = field(default_factory=Standing)


class Account(TypedDict):
    """What only the phones know of a round."""

    late: int
    dropped: int
    bytes_up: int
    bytes_down: int
    bytes_model: int
    bytes_checkpoint: int
    bytes_update: int
    newcomers: int


class Measured(TypedDict):
    """What phones have measured of a checkpoint."""

    phones_accuracy: float | None
    phones_loss: float | None


class Monitor:
    """Turns the history of one task into rows; ``status`` is that of the task when last seen.

    ``history`` and ``fetch`` ask the server, ``tally`` and ``standing`` the fleet. Evaluation runs
    on the thread that polls, so phones in other threads keep going. A version that a roll-back made
    has no row: its weights have one already. Of ``every`` versions one has a row, the untrained
    model's first.
    """

    def __init__(
        self,
        *,
        history: Callable[[], TaskHistory],
        fetch: Callable[[CheckpointSummary], bytes],
        tally: Callable[[int, int], RoundTally],
        trainer: Trainer,
        test: Examples,
        spec: WeightSpec,
        standing: Callable[[int], Standing] = lambda _: Standing(),
        every: int = 1,
    ) -> None:
        self._history = history
        self._fetch = fetch
        self._tally = tally
        self._standing = standing
        self._trainer = trainer
        self._test = test
        self._spec = spec
        self._every = every
        self.rows: list[RoundRow] = []
        self.status = TaskStatus.RUNNING
        self._evaluated: set[int] = set()
        self._versions: list[int] = []
        self._by_phones: dict[int, Metrics] = {}

    def poll(self) -> list[RoundRow]:
        """Evaluates the checkpoints that are new since the last call; returns their rows."""
        return list(self._fresh())

    def settled(self) -> list[RoundRow]:
        """The rows with the phones' account as it stands now: some sessions outlast their round.

        With what phones measured of each checkpoint too, as far as the last poll knows.
        """
        return [
            replace(row, **self._account(row.round, row.attempt), **self._measured(version))
            for version, row in zip(self._versions, self.rows, strict=True)
        ]

    def follow(
        self,
        *,
        until: Callable[[], bool],
        every_s: float = 0.2,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Iterator[RoundRow]:
        """Polls every ``every_s`` seconds and yields rows; once more after ``until`` is true.

        A caller that stops taking rows stops the evaluation too: ``rows`` ends with the last one
        it took. A server that is away may come back; after ``MISSES`` polls in a row that it did
        not answer, what it raised is raised.
        """
        is_over, misses = False, 0
        while not is_over or misses:
            is_over = until()
            known = len(self.rows)
            try:
                yield from self._fresh()
                misses = 0
            except Unavailable:
                misses += 1
                if misses == MISSES:
                    raise
            if len(self.rows) == known and (misses or not is_over):
                sleep(every_s)

    def _fresh(self) -> Iterator[RoundRow]:
        history = self._history()
        self.status = history.task.status
        self._by_phones = {
            one.version: one.metrics
            for one in history.evaluations
            if one.source is EvaluationSource.PHONES
        }
        for checkpoint in history.checkpoints:
            is_due = checkpoint.version % self._every == 0
            is_new = is_due and checkpoint.version not in self._evaluated
            if is_new and checkpoint.rolled_back_from is None:
                row = self._row(checkpoint, history)
                self._evaluated.add(checkpoint.version)
                self.rows.append(row)
                self._versions.append(checkpoint.version)
                yield row

    def _row(self, checkpoint: CheckpointSummary, history: TaskHistory) -> RoundRow:
        # Before the evaluation, while which phones on a real clock go on.
        standing = self._standing(checkpoint.version)
        weights = wire.decode(self._fetch(checkpoint), self._spec)
        result = self._trainer.evaluate(weights, self._test)
        round_ = _committed(history, checkpoint.version)
        number, attempt = (round_.round, round_.attempt) if round_ else (0, 0)
        return RoundRow(
            round=number,
            attempt=attempt,
            accuracy=result.accuracy,
            loss=result.loss,
            train_loss=round_.train_loss if round_ else None,
            accepted=round_.accepted if round_ else 0,
            num_examples=round_.num_examples if round_ else 0,
            **self._account(number, attempt),
            seconds=_seconds(history, checkpoint) if round_ else 0.0,
            checkpoint=checkpoint.sha256,
            staleness=round_.mean_staleness if round_ else None,
            standing=standing,
        )

    def _account(self, round_: int, attempt: int) -> Account:
        tally = self._tally(round_, attempt)
        return {
            "late": tally.late,
            "dropped": tally.dropped,
            "bytes_up": tally.bytes_up,
            "bytes_down": tally.bytes_down,
            "bytes_model": tally.bytes_model,
            "bytes_checkpoint": tally.bytes_checkpoint,
            "bytes_update": tally.bytes_update,
            "newcomers": tally.newcomers,
        }

    def _measured(self, version: int) -> Measured:
        metrics = self._by_phones.get(version, {})
        return {
            "phones_accuracy": metrics.get("accuracy"),
            "phones_loss": metrics.get("loss"),
        }


def _committed(history: TaskHistory, version: int) -> RoundSummary | None:
    """The round that made a checkpoint; None for the first one."""
    for round_ in history.rounds:
        if round_.phase is RoundPhase.COMMITTED and round_.base_version == version - 1:
            return round_
    return None


def _seconds(history: TaskHistory, checkpoint: CheckpointSummary) -> float:
    opened = [round_.opened_at for round_ in history.rounds if round_.opened_at is not None]
    return max(0.0, checkpoint.created_at - min(opened, default=checkpoint.created_at))
