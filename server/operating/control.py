"""A task under the operator's hand: pause, resume, stop, roll back, and tell how good it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...protocol.admin import Evaluation, EvaluationSource, PostEvaluation, TaskStatus, TaskSummary
from ...protocol.errors import NotFound
from ...protocol.plan import RoundKind
from ..coordination.coordinator import Coordinator
from ..coordination.measurements import Mean
from ..states import rounds
from ..states.rounds import AbandonReason
from ..store import LIVE_STATUSES, Checkpoint, Reading, Store, Task, Writing
from .tasks import named, summary


@dataclass(frozen=True, kw_only=True)
class Control:
    """Changes tasks that are there; asked for what already is, it changes nothing."""

    store: Store
    coordinator: Coordinator
    clock: Callable[[], float]

    def pause(self, name: str) -> TaskSummary:
        """Gives no more places; devices that hold one may finish."""
        return self._set(name, TaskStatus.PAUSED)

    def resume(self, name: str) -> TaskSummary:
        """Gives places again."""
        return self._set(name, TaskStatus.RUNNING)

    def stop(self, name: str) -> TaskSummary:
        """Ends a task and abandons its rounds, the last evaluation of a finished one among them."""
        with self.coordinator.turn(), self.store.write() as tx:
            task, now = tx.lock_task(named(tx, name).id), self.clock()
            if task.status in LIVE_STATUSES:
                tx.set_status(task.id, TaskStatus.STOPPED, now=now)
            if task.status is not TaskStatus.STOPPED:
                for kind in RoundKind:
                    self._abandon(tx, task, kind, AbandonReason.STOPPED, now)
            return summary(tx, tx.task(task.id))

    def roll_back(self, name: str, version: int) -> TaskSummary:
        """Makes the weights of an older version the newest, as a version of their own.

        The round that trains is abandoned and attempted again on them. Raises NotFound when there
        is no such version.
        """
        with self.coordinator.turn(), self.store.write() as tx:
            task, now = tx.lock_task(named(tx, name).id), self.clock()
            newest, wanted = tx.newest_checkpoint(task.id), _version(tx, task, version)
            if not _is_there(newest, wanted):
                again = tx.roll_back(newest, wanted, now=now)
                self._start_over(tx, task, again, now)
            return summary(tx, task)

    def evaluate(self, name: str, message: PostEvaluation) -> tuple[Evaluation, bool]:
        """Keeps what the operator has measured; the flag claims that it says anything new.

        A value that differs from the one of before takes its place, with its time. Raises NotFound
        when there is no such version.
        """
        with self.coordinator.turn(), self.store.write() as tx:
            task = tx.lock_task(named(tx, name).id)
            _version(tx, task, message.version)
            known = tx.evaluation(task.id, message.version, EvaluationSource.OPERATOR)
            if known is not None and _says(known, message):
                return known, False
            put = tx.put_evaluation(
                task_id=task.id,
                version=message.version,
                source=EvaluationSource.OPERATOR,
                means=_means(message),
                now=self.clock(),
            )
            return put, True

    def _set(self, name: str, status: TaskStatus) -> TaskSummary:
        """Leaves a task that has ended as it is."""
        with self.coordinator.turn(), self.store.write() as tx:
            task = tx.lock_task(named(tx, name).id)
            if task.status in LIVE_STATUSES and task.status is not status:
                tx.set_status(task.id, status, now=self.clock())
            return summary(tx, tx.task(task.id))

    def _start_over(self, tx: Writing, task: Task, base: Checkpoint, now: float) -> None:
        abandoned = self._abandon(tx, task, RoundKind.TRAIN, AbandonReason.ROLLED_BACK, now)
        if abandoned is not None:
            tx.add_round(
                rounds.opening(
                    task.id,
                    task.message.settings,
                    number=abandoned.number,
                    attempt=abandoned.attempt + 1,
                    base_version=base.version,
                    now=now,
                )
            )

    def _abandon(
        self, tx: Writing, task: Task, kind: RoundKind, reason: AbandonReason, now: float
    ) -> rounds.Round | None:
        """Returns the round of this kind that was under way, abandoned."""
        current = tx.current_round(task.id, kind)
        if current is None:
            return None
        abandoned = rounds.on_abandon(current, reason, now=now)
        tx.move_round(current, abandoned, now=now)
        self.coordinator.expect(now)
        return abandoned


def _version(view: Reading, task: Task, version: int) -> Checkpoint:
    found = view.checkpoint(task.id, version)
    if found is None:
        newest = view.newest_checkpoint(task.id).version
        raise NotFound(f"{task.message.name} has no version {version}, the newest is {newest}")
    return found


def _is_there(newest: Checkpoint, wanted: Checkpoint) -> bool:
    """Whether a roll-back has been made already, or would lead to where the task is."""
    is_repeat = newest.rolled_back_from is not None and newest.parent == wanted.version
    return is_repeat or newest == wanted


def _says(known: Evaluation, message: PostEvaluation) -> bool:
    same = all(known.metrics.get(name) == value for name, value in message.metrics.items())
    return same and known.num_examples == message.num_examples


def _means(message: PostEvaluation) -> dict[str, Mean]:
    return {
        name: Mean(value=value, num_examples=message.num_examples, devices=0)
        for name, value in message.metrics.items()
    }
