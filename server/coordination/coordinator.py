"""The coordinator moves rounds on: it watches deadlines, folds updates and commits checkpoints.

Each step is one transaction, and all it knows is in the tables: a coordinator that is killed at any
moment is replaced by a new one that reads them.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from ...protocol import wire
from ...protocol.admin import RoundPhase
from ...protocol.errors import LostBlob
from ...protocol.plan import RoundKind
from ...protocol.weights import Weights, WeightSpec
from ..blobs import Blobs, Staged
from ..folding.fold import Folded, basis_of, fold
from ..folding.optimizers import State, encode_state, optimizer_of
from ..folding.workers import Workers
from ..states import places, rounds
from ..states.rounds import AbandonReason, Assignment, Round
from ..store import Checkpoint, Reading, Store, Task, Update, Writing
from . import evaluation, succession
from .sweeper import Sweeper
from .tenure import Tenure

ALONE = "alone"


# Told how many updates are folded and, of those of a buffer, how stale each is.
MeasureFold = Callable[[int, Sequence[int]], AbstractContextManager[None]]


def _unmeasured(updates: int, stalenesses: Sequence[int]) -> AbstractContextManager[None]:
    return nullcontext()


class Coordinator:
    """Moves the rounds of one store; ``wake`` asks the thread that ticks to do it now.

    An inline coordinator has no thread: every request takes a ``turn``, which ticks. Where several
    processes have coordinators, each is an ``owner`` with a name of its own and holds the round it
    folds for ``lease_s`` at a time; what an owner held before, it takes up again at once.
    """

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        *,
        sweeper: Sweeper,
        workers: Workers,
        clock: Callable[[], float],
        is_inline: bool,
        owner: str = ALONE,
        lease_s: float = 15.0,
        measure_fold: MeasureFold = _unmeasured,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._sweeper = sweeper
        self._clock = clock
        self._is_inline = is_inline
        self._workers = workers
        self._tenure = Tenure(store, clock=clock, owner=owner, lease_s=lease_s)
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
            self._pass_deadlines(now)
            for waiting in self._waiting():
                self._aggregate(waiting, now)
            self._sweeper.release(now)
            self._sweeper.run(now)
            with self._store.write() as tx:
                self._due_at = self._next_due(tx)

    def expect(self, at: float) -> None:
        """Says within a transaction that this coordinator will have something to do then."""
        self._due_at = min(self._due_at, at)

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

    def _pass_deadlines(self, now: float) -> None:
        """Moves what is due; each task has a transaction of its own."""
        with self._store.read() as view:
            late = {held.round_id for held in view.overdue(now)}
            due = {
                round_.task_id
                for round_ in view.rounds_under_way()
                if round_.id in late or rounds.on_clock(round_, now) != round_
            }
        for task_id in sorted(due):
            with self._store.write() as tx:
                tx.lock_task(task_id)
                under_way = [one for one in tx.rounds_under_way() if one.task_id == task_id]
                self._expire(tx, {one.id for one in under_way}, now)
                for round_ in under_way:
                    self.settle(tx, tx.round(round_.id), now)

    def _expire(self, tx: Writing, round_ids: set[int], now: float) -> None:
        for held in tx.overdue(now):
            if held.round_id in round_ids:
                self.move(tx, held, places.on_expiry(held), now=now)

    def _waiting(self) -> list[Round]:
        """The rounds that wait for their sum."""
        with self._store.read() as view:
            under_way = view.rounds_under_way()
        return [one for one in under_way if one.phase is RoundPhase.AGGREGATING]

    def _claim(self, waiting: Round) -> Round | None:
        """The round under a new epoch, or None while it is another coordinator's."""
        with self._store.write() as tx:
            tx.lock_task(waiting.task_id)
            is_mine = self._tenure.begin(tx, waiting.id)
            return tx.claim_round(waiting.id) if is_mine else None

    def _aggregate(self, waiting: Round, now: float) -> None:
        claimed = self._claim(waiting)
        if claimed is None:
            return
        with self._tenure.kept(claimed.id):
            if claimed.kind is RoundKind.EVALUATE:
                self._conclude(claimed, now)
            else:
                self._fold(claimed, now)

    def _conclude(self, claimed: Round, now: float) -> None:
        """Ends an evaluation, unless someone else has claimed it."""
        with self._store.write() as tx:
            if self._is_still_mine(tx, claimed):
                evaluation.conclude(tx, claimed, now=now)
                tx.drop_lease(claimed.id)

    def _fold(self, claimed: Round, now: float) -> None:
        with self._store.read() as view:
            task = view.task(claimed.task_id)
            base = view.newest_checkpoint(task.id)
            updates = view.updates(claimed.id)
        stalenesses = [one.staleness for one in updates] if claimed.is_buffer else []
        with self._measure_fold(len(updates), stalenesses):
            outcome = self._outcome(task, base, updates)
        if isinstance(outcome, AbandonReason):
            self._abandon(claimed, outcome, now)
        else:
            self._commit(claimed, task, outcome, updates, now=now)

    def _outcome(
        self, task: Task, base: Checkpoint, updates: list[Update]
    ) -> Folded | AbandonReason:
        """What the round comes to, or why it must not become a checkpoint."""
        read = self._blobs.reader().read
        basis = basis_of(task.message, base, read=read)
        try:
            folded = fold(task.message, basis, updates, read=read, workers=self._workers)
        except LostBlob:
            return AbandonReason.LOST_UPDATE
        limit = task.message.settings.max_update_norm
        if limit is not None and folded.update_norm > limit:
            return AbandonReason.GUARD
        return folded if folded.is_finite else AbandonReason.NON_FINITE_CHECKPOINT

    def _commit(
        self, claimed: Round, task: Task, folded: Folded, updates: list[Update], *, now: float
    ) -> None:
        """Stores the checkpoint and opens the next round, unless someone else has claimed it."""
        with (
            self._stage(wire.encode(Weights(WeightSpec(task.message.spec), folded.vector))) as body,
            self._stage_state(task, folded.state) as state,
        ):
            arrived = sorted((body, state) if state else (body,), key=lambda one: one.sha256)
            for staged in arrived:
                self._blobs.prepare(staged)
            with self._store.write() as tx:
                for staged in arrived:
                    tx.lock_blob(staged.sha256)
                if not self._is_still_mine(tx, claimed):
                    return
                for staged in arrived:
                    self._blobs.publish(staged)
                checkpoint_id = tx.add_checkpoint(
                    task_id=task.id,
                    version=claimed.base_version + 1,
                    sha256=body.sha256,
                    length=body.bytes,
                    state_sha256=state.sha256 if state else None,
                    now=now,
                )
                tx.add_contributions(checkpoint_id, updates)
                for held in tx.uploaded(claimed.id):
                    tx.move_assignment(held, places.on_fold(held), now=now)
                tx.move_round(claimed, rounds.on_commit(claimed, now=now), now=now)
                tx.drop_lease(claimed.id)
                succession.go_on(tx, claimed, task, now=now)
                evaluation.open_due(tx, task, now=now)

    def _stage(self, body: bytes) -> AbstractContextManager[Staged]:
        return self._blobs.stage(io.BytesIO(body).read, length=len(body))

    def _stage_state(self, task: Task, state: State) -> AbstractContextManager[Staged | None]:
        if not state:
            return nullcontext()
        optimizer = optimizer_of(task.message.settings.server_optimizer)
        return self._stage(encode_state(state, optimizer))

    def _abandon(self, claimed: Round, reason: AbandonReason, now: float) -> None:
        with self._store.write() as tx:
            if not self._is_still_mine(tx, claimed):
                return
            moved = rounds.on_abandon(claimed, reason, now=now)
            tx.move_round(claimed, moved, now=now)
            tx.drop_lease(claimed.id)
            self._attempt_again(tx, moved, now)

    def _is_still_mine(self, tx: Writing, claimed: Round) -> bool:
        """Whether nobody has taken a later epoch; from here on nobody can."""
        tx.lock_task(claimed.task_id)
        return tx.round(claimed.id) == claimed

    def _attempt_again(self, tx: Writing, abandoned: Round, now: float) -> None:
        task = tx.task(abandoned.task_id)
        if abandoned.kind is RoundKind.EVALUATE:
            evaluation.open_due(tx, task, now=now)
        else:
            succession.attempt_again(tx, abandoned, task, now=now)

    def _next_due(self, view: Reading) -> float:
        """The earliest instant at which a tick changes anything; infinite when none is known.

        Read under the writer's lock: what is expected later is then added, and nothing is lost.
        """
        under_way = view.rounds_under_way()
        if any(not round_.is_open for round_ in under_way):
            return -math.inf
        ends = [round_.next_deadline for round_ in under_way]
        return min([view.first_deadline(), self._sweeper.next_release(view), *ends])
