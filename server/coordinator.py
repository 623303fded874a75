"""The coordinator moves rounds on: it watches deadlines, folds updates and commits checkpoints.

Each step is one transaction, and all it knows is in the tables: a coordinator that is killed at any
moment is replaced by a new one that reads them.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np

from ..protocol import wire
from ..protocol.admin import RoundPhase, TaskStatus
from ..protocol.plan import RoundKind
from ..protocol.weights import Vector, Weights, WeightSpec
from . import evaluation, rounds
from .aggregators import weighted_mean
from .blobs import Blobs
from .optimizers import sgd
from .rounds import AbandonReason, Assignment, Round
from .store import Checkpoint, Reading, Store, Task, Update, Writing

ORPHAN_TTL_S = 24 * 3600.0


MeasureFold = Callable[[int], AbstractContextManager[None]]


def _unmeasured(updates: int) -> AbstractContextManager[None]:
    return nullcontext()


class Coordinator:
    """Moves the rounds of one store; ``wake`` asks the thread that ticks to do it now.

    An inline coordinator has no thread: every request takes a ``turn``, which ticks.
    """

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        *,
        clock: Callable[[], float],
        is_inline: bool,
        measure_fold: MeasureFold = _unmeasured,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._is_inline = is_inline
        self._measure_fold = measure_fold
        self._ticking = threading.Lock()
        self._due_at = -math.inf
        self.wake = threading.Event()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Surrounds a request that may move a round."""
        self._tick_inline()
        yield
        self._tick_inline()

    def tick(self, now: float) -> None:
        """Does all that is due: expiries, ends of phases, sums, and what they leave behind."""
        with self._ticking:
            for waiting in self._pass_deadlines(now):
                self._aggregate(waiting.id, now)
            self._release_updates()
            with self._store.write() as tx:
                self._due_at = _next_due(tx)

    def expect(self, at: float) -> None:
        """Says within a transaction that this coordinator will have something to do then."""
        self._due_at = min(self._due_at, at)

    def sweep(self, now: float) -> None:
        """Removes what a killed process left behind; only at start-up, before any request."""
        with self._store.write() as tx:
            tx.forget_deposits(before=now - ORPHAN_TTL_S)
            self._blobs.sweep(tx.needed_blobs())

    def settle(self, tx: Writing, round_: Round, now: float) -> Round:
        """Takes every step that time and the counts allow; an abandoned round is tried again."""
        while (moved := rounds.on_clock(round_, now)) != round_:
            tx.move_round(round_, moved, now=now)
            self.expect(now)
            if moved.phase is RoundPhase.ABANDONED:
                self._attempt_again(tx, moved, now)
            round_ = moved
        return round_

    def current_round(self, tx: Writing, task_id: int, kind: RoundKind, now: float) -> Round | None:
        """The round of this kind that a task has under way at this moment."""
        round_ = tx.current_round(task_id, kind)
        if round_ is not None and self.settle(tx, round_, now) != round_:
            return tx.current_round(task_id, kind)
        return round_

    def move(self, tx: Writing, before: Assignment, after: Assignment, *, now: float) -> None:
        """Changes an assignment, and gives its place back if that is what the change means."""
        if after == before:
            return
        tx.move_assignment(before, after, now=now)
        self.expect(after.ends_at)
        if after.state in rounds.RETURNED_STATES:
            tx.give_place_back(after.round_id)

    def _tick_inline(self) -> None:
        if self._is_inline and self._clock() >= self._due_at:
            self.tick(self._clock())

    def _pass_deadlines(self, now: float) -> list[Round]:
        """Returns the rounds that wait for their sum."""
        with self._store.write() as tx:
            for held in tx.overdue(now):
                self.move(tx, held, rounds.on_expiry(held), now=now)
            settled = [self.settle(tx, round_, now) for round_ in tx.rounds_under_way()]
            return [round_ for round_ in settled if round_.phase is RoundPhase.AGGREGATING]

    def _aggregate(self, round_id: int, now: float) -> None:
        with self._store.write() as tx:
            claimed = tx.claim_round(round_id)
        if claimed is None:
            return
        if claimed.kind is RoundKind.EVALUATE:
            self._conclude(claimed, now)
            return
        with self._store.read() as view:
            task = view.task(claimed.task_id)
            base = view.newest_checkpoint(task.id)
            folded = view.updates(round_id)
        with self._measure_fold(len(folded)):
            vector = self._next_vector(task, base, folded)
        if vector is None:
            self._abandon(claimed, AbandonReason.LOST_UPDATE, now)
        elif not np.isfinite(vector).all():
            self._abandon(claimed, AbandonReason.NON_FINITE_CHECKPOINT, now)
        else:
            self._commit(claimed, task, vector, folded, now=now)

    def _conclude(self, claimed: Round, now: float) -> None:
        """Ends an evaluation, unless someone else has claimed it."""
        with self._store.write() as tx:
            if tx.round(claimed.id) == claimed:
                evaluation.conclude(tx, claimed, now=now)

    def _next_vector(self, task: Task, base: Checkpoint, folded: list[Update]) -> Vector | None:
        """The weights after this round, or None when a blob is no longer what it was."""
        spec = WeightSpec(task.message.spec)
        mean = weighted_mean()
        partial = mean.init(spec.size)
        for update in folded:
            body = self._intact(update.sha256)
            if body is None:
                return None
            partial = mean.accumulate(partial, wire.decode(body, spec).vector, update.num_examples)
        received = wire.decode(self._blobs.read(base.sha256), spec).vector
        optimizer = sgd(task.message.settings.server_learning_rate)
        return optimizer.step(received, mean.finalize(partial))

    def _intact(self, sha256: str) -> bytes | None:
        try:
            body = self._blobs.read(sha256)
        except FileNotFoundError:
            return None
        return body if wire.sha256(body) == sha256 else None

    def _commit(
        self, claimed: Round, task: Task, vector: Vector, folded: list[Update], *, now: float
    ) -> None:
        """Stores the checkpoint and opens the next round, unless someone else has claimed it."""
        body = wire.encode(Weights(WeightSpec(task.message.spec), vector))
        reader = io.BytesIO(body).read
        with self._blobs.stage(reader, length=len(body)) as staged, self._store.write() as tx:
            if tx.round(claimed.id) != claimed:
                return
            self._blobs.publish(staged)
            version = claimed.base_version + 1
            checkpoint_id = tx.add_checkpoint(
                task_id=task.id, version=version, sha256=staged.sha256, length=len(body), now=now
            )
            tx.add_contributions(checkpoint_id, folded)
            for held in tx.uploaded(claimed.id):
                tx.move_assignment(held, rounds.on_fold(held), now=now)
            tx.move_round(claimed, rounds.on_commit(claimed, now=now), now=now)
            self._go_on(tx, claimed, task, now)
            evaluation.open_due(tx, task, now=now)

    def _go_on(self, tx: Writing, committed: Round, task: Task, now: float) -> None:
        settings = task.message.settings
        if settings.rounds is not None and committed.number >= settings.rounds:
            tx.set_status(task.id, TaskStatus.FINISHED, now=now)
            return
        following = rounds.opening(
            task.id,
            settings,
            number=committed.number + 1,
            attempt=1,
            base_version=committed.base_version + 1,
            now=now,
        )
        tx.add_round(following)

    def _abandon(self, claimed: Round, reason: AbandonReason, now: float) -> None:
        with self._store.write() as tx:
            if tx.round(claimed.id) != claimed:
                return
            moved = rounds.on_abandon(claimed, reason, now=now)
            tx.move_round(claimed, moved, now=now)
            self._attempt_again(tx, moved, now)

    def _attempt_again(self, tx: Writing, abandoned: Round, now: float) -> None:
        if abandoned.kind is RoundKind.EVALUATE:
            evaluation.open_due(tx, tx.task(abandoned.task_id), now=now)
            return
        again = rounds.opening(
            abandoned.task_id,
            tx.task(abandoned.task_id).message.settings,
            number=abandoned.number,
            attempt=abandoned.attempt + 1,
            base_version=abandoned.base_version,
            now=now,
        )
        tx.add_round(again)

    def _release_updates(self) -> None:
        """Removes the updates of closed rounds; under the writer's lock, so none arrives."""
        with self._store.read() as view:
            if not view.has_spent_updates():
                return
        with self._store.write() as tx:
            for sha256 in tx.release_updates():
                self._blobs.remove(sha256)


def _next_due(view: Reading) -> float:
    """The earliest instant at which a tick changes anything; infinite when none is known.

    Read under the writer's lock: what is expected later is then added, and nothing is lost.
    """
    under_way = view.rounds_under_way()
    if view.has_spent_updates() or any(not round_.is_open for round_ in under_way):
        return -math.inf
    ends = [round_.next_deadline for round_ in under_way]
    return min([view.first_deadline(), *ends])
