"""What an operator may do: put bytes, create tasks, look at their rounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np

from ...protocol import wire
from ...protocol.admin import (
    CheckpointSummary,
    CreateTask,
    Evaluation,
    EvaluationSource,
    RoundPhase,
    RoundSummary,
    TaskHistory,
    TaskList,
    TaskSummary,
)
from ...protocol.codecs import codec_named
from ...protocol.errors import ImplausibleReport, NameTaken, NotFound, SpecMismatch
from ...protocol.messages import AssignmentState
from ...protocol.plan import RoundKind
from ...protocol.weights import WeightSpec
from ..blobs import Blobs, ReadBytes
from ..coordination.coordinator import Coordinator
from ..folding.sums import TOTAL_LIMIT
from ..states import rounds
from ..states.rounds import Round
from ..store import Checkpoint, Reading, RoundTally, Store, Task

NOBODY = RoundTally(states={}, num_examples=0, train_loss=None, bytes_up=0)


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """The operator's side of the server."""

    store: Store
    blobs: Blobs
    coordinator: Coordinator
    clock: Callable[[], float]

    def put(self, sha256: str, read: ReadBytes, *, length: int) -> bool:
        """Keeps bytes under their digest; returns whether they are new here."""
        with self.blobs.stage(read, length=length) as staged:
            staged.require(sha256)
            with self.store.read() as view:
                if view.deposit_bytes(sha256) is not None:
                    return False
            self.blobs.prepare(staged)
            with self.store.write() as tx:
                tx.operate()
                is_new = tx.deposit_bytes(sha256) is None
                if is_new:
                    tx.lock_blob(sha256)
                    self.blobs.publish(staged)
                    tx.add_deposit(sha256=sha256, length=length, now=self.clock())
                return is_new

    def create(self, message: CreateTask) -> tuple[TaskSummary, bool]:
        """Opens round 1 on the given checkpoint; the flag claims that the task is new."""
        with self.coordinator.turn():
            with self.store.read() as view:
                known = _same_task(view, message)
                if known is not None:
                    return summary(view, known), False
                lengths = {name: _deposit_bytes(view, name) for name in _blobs_of(message)}
            self._require_sound(message, checkpoint_bytes=lengths[message.checkpoint_sha256])
            with self.store.write() as tx:
                tx.operate()
                known = _same_task(tx, message)
                if known is not None:
                    return summary(tx, known), False
                now = self.clock()
                task_id = tx.add_task(
                    message,
                    model_bytes=lengths[message.model_sha256],
                    manifest_bytes=lengths[message.manifest_sha256],
                    now=now,
                )
                tx.add_checkpoint(
                    task_id=task_id,
                    version=0,
                    sha256=message.checkpoint_sha256,
                    length=lengths[message.checkpoint_sha256],
                    now=now,
                )
                tx.add_round(
                    rounds.opening(
                        task_id, message.settings, number=1, attempt=1, base_version=0, now=now
                    )
                )
                return summary(tx, tx.task(task_id)), True

    def all(self) -> TaskList:
        """Every task, oldest first."""
        with self.coordinator.turn(), self.store.read() as view:
            return TaskList(tasks=tuple(summary(view, task) for task in view.tasks()))

    def history(self, name: str) -> TaskHistory:
        """Every attempt and every checkpoint of a task, and what was measured of them."""
        with self.coordinator.turn(), self.store.read() as view:
            task = named(view, name)
            tallies = view.tallies(task.id)
            evaluations = view.evaluations(task.id)
            return TaskHistory(
                task=summary(view, task),
                rounds=tuple(
                    _round_summary(one, tallies.get(one.id)) for one in view.rounds(task.id)
                ),
                checkpoints=tuple(_checkpoint_summary(one) for one in view.checkpoints(task.id)),
                evaluation_rounds=tuple(
                    _evaluation_summary(one, tallies.get(one.id), evaluations)
                    for one in view.rounds(task.id, RoundKind.EVALUATE)
                ),
                evaluations=tuple(evaluations),
            )

    def _require_sound(self, message: CreateTask, *, checkpoint_bytes: int) -> None:
        """Raises SpecMismatch for a foreign checkpoint, ImplausibleReport for a sum too large.

        SpecMismatch too when a codec cannot carry the names of the spec.
        """
        spec = WeightSpec(message.spec)
        wanted = wire.encoded_bytes(spec)
        if checkpoint_bytes != wanted:
            raise SpecMismatch(f"the checkpoint has {checkpoint_bytes} bytes, its spec {wanted}")
        checkpoint = wire.decode(self.blobs.read(message.checkpoint_sha256), spec)
        if not np.isfinite(checkpoint.vector).all():
            raise SpecMismatch("the checkpoint holds NaN or infinite weights; export it again")
        for name in message.settings.codecs:
            codec_named(name).max_bytes(spec)
        _require_summable(message)


def _require_summable(message: CreateTask) -> None:
    settings, most = message.settings, message.plan.max_examples
    if settings.goal >= TOTAL_LIMIT or settings.most_folded * most >= TOTAL_LIMIT:
        over_selection = 1 if settings.buffer else settings.over_selection
        raise ImplausibleReport(
            f"goal * over_selection * max_examples must stay below {TOTAL_LIMIT}, "
            f"got {settings.goal} * {over_selection} * {most}; lower one of them"
        )


def _blobs_of(message: CreateTask) -> set[str]:
    return {message.model_sha256, message.manifest_sha256, message.checkpoint_sha256}


def _deposit_bytes(view: Reading, sha256: str) -> int:
    length = view.deposit_bytes(sha256)
    if length is None:
        raise NotFound(f"no blob {sha256} was put; put it first")
    return length


def _same_task(view: Reading, message: CreateTask) -> Task | None:
    """The task this message made before; raises NameTaken when another one has the name."""
    known = view.task_named(message.name)
    if known is not None and known.message != message:
        raise NameTaken(f"another task is named {message.name!r}; choose another name")
    return known


def named(view: Reading, name: str) -> Task:
    """The task of this name; raises NotFound."""
    task = view.task_named(name)
    if task is None:
        raise NotFound(f"no task {name[:64]!r}; list the tasks to see their names")
    return task


def summary(view: Reading, task: Task) -> TaskSummary:
    """A task as it stands."""
    newest = view.newest_checkpoint(task.id)
    return TaskSummary(
        name=task.message.name,
        population=task.message.population,
        status=task.status,
        plan=task.message.plan,
        settings=task.message.settings,
        checkpoint=_checkpoint_summary(newest),
        current=_current_summary(view, task.id),
        committed=view.committed_rounds(task.id),
    )


def _current_summary(view: Reading, task_id: int) -> RoundSummary | None:
    current = view.current_round(task_id)
    if current is None:
        return None
    return _round_summary(current, view.tallies(task_id, since=current.id).get(current.id))


def _checkpoint_summary(checkpoint: Checkpoint) -> CheckpointSummary:
    return CheckpointSummary(
        version=checkpoint.version,
        sha256=checkpoint.sha256,
        bytes=checkpoint.bytes,
        url=f"/v1/blobs/{checkpoint.sha256}",
        created_at=checkpoint.created_at,
        parent=checkpoint.parent,
        rolled_back_from=checkpoint.rolled_back_from,
    )


def _round_summary(round_: Round, tally: RoundTally | None) -> RoundSummary:
    """A device that gave its place back is counted as failed, whether it reported or aborted."""
    tally = tally or NOBODY
    count = tally.states.get
    return RoundSummary(
        kind=round_.kind,
        round=round_.number,
        attempt=round_.attempt,
        phase=round_.phase,
        reason=round_.reason,
        goal=round_.goal,
        minimum=round_.minimum,
        capacity=round_.capacity,
        assigned=sum(tally.states.values()),
        accepted=round_.accepted,
        late=count(AssignmentState.LATE, 0),
        dropped=count(AssignmentState.EXPIRED, 0),
        failed=count(AssignmentState.FAILED, 0) + count(AssignmentState.ABORTED, 0),
        num_examples=tally.num_examples,
        train_loss=tally.train_loss,
        bytes_up=tally.bytes_up,
        mean_staleness=tally.mean_staleness if round_.is_buffer else None,
        base_version=round_.base_version,
        opened_at=round_.opened_at,
        closed_at=round_.closed_at,
        ends_at=_deadline(round_),
        states=tally.states,
    )


def _deadline(round_: Round) -> float | None:
    is_running = round_.is_open and math.isfinite(round_.next_deadline)
    return round_.next_deadline if is_running else None


def _evaluation_summary(
    round_: Round, tally: RoundTally | None, evaluations: list[Evaluation]
) -> RoundSummary:
    """A round that evaluates has no updates; its examples are those of what came of it."""
    made = _round_summary(round_, tally)
    if round_.phase is not RoundPhase.COMMITTED:
        return made
    counts = {
        one.version: one.num_examples
        for one in evaluations
        if one.source is EvaluationSource.PHONES
    }
    return msgspec.structs.replace(made, num_examples=counts[round_.base_version])
