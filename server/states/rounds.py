"""The round as a pure state machine: (state, event, now) -> state, no IO.

::

    selecting -> reporting -> aggregating -> committed
    and from each of these three -> abandoned(reason)

The round of a buffered task is the filling of one buffer: selecting until its first update has
come, reporting until it is full. Its places outlive it, see ``succession``. What happens to one
place is in ``places``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from ...protocol.admin import RoundPhase, TaskStatus
from ...protocol.codecs import FLOAT32
from ...protocol.messages import AssignmentState, Report
from ...protocol.plan import RoundKind, RoundSettings

OPEN_PHASES = frozenset({RoundPhase.SELECTING, RoundPhase.REPORTING})
FINAL_PHASES = frozenset({RoundPhase.COMMITTED, RoundPhase.ABANDONED})
# In which rounds a task gives places; the last version of a finished one is still measured.
KINDS_SERVED = {
    TaskStatus.RUNNING: tuple(RoundKind),
    TaskStatus.FINISHED: (RoundKind.EVALUATE,),
}
OPEN_STATES = frozenset({AssignmentState.ASSIGNED, AssignmentState.REPORTED})
ACCEPTED_STATES = frozenset(
    {AssignmentState.UPLOADED, AssignmentState.MEASURED, AssignmentState.FOLDED}
)
GONE_STATES = frozenset({AssignmentState.EXPIRED, AssignmentState.ABORTED})
# Devices in these states have given their place back.
RETURNED_STATES = GONE_STATES | {AssignmentState.FAILED}


class AbandonReason(StrEnum):
    """Why an attempt did not become a checkpoint."""

    TOO_FEW_DEVICES = "too_few_devices"
    TOO_FEW_REPORTS = "too_few_reports"
    LOST_UPDATE = "lost_update"
    NON_FINITE_CHECKPOINT = "non_finite_checkpoint"
    GUARD = "guard"
    STOPPED = "stopped"
    ROLLED_BACK = "rolled_back"
    NOTHING_IN_COMMON = "nothing_in_common"


@dataclass(frozen=True, kw_only=True)
class Round:
    """One attempt at one round.

    ``assigned`` counts the places that are taken now, ``accepted`` the updates among them.
    ``epoch`` counts who has begun to aggregate: only the last one may commit. ``id`` is the
    store's; it is 0 until the round is stored. ``concurrency`` and ``max_staleness`` are those of
    a buffer, None where there is none.
    """

    id: int
    task_id: int
    kind: RoundKind = RoundKind.TRAIN
    number: int
    attempt: int
    base_version: int
    phase: RoundPhase = RoundPhase.SELECTING
    epoch: int = 0
    reason: str | None = None
    goal: int
    minimum: int
    capacity: int
    selection_timeout_s: float
    report_timeout_s: float
    assigned: int = 0
    accepted: int = 0
    selection_ends_at: float | None = None
    report_ends_at: float | None = None
    opened_at: float
    closed_at: float | None = None
    concurrency: int | None = None
    max_staleness: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it gives places and takes reports and updates."""
        return self.phase in OPEN_PHASES

    @property
    def is_buffer(self) -> bool:
        return self.concurrency is not None

    @property
    def keeps_places(self) -> bool:
        """Whether a place in it may still lead to an update; a full buffer's go to the next."""
        return self.is_open or (self.is_buffer and self.phase is RoundPhase.AGGREGATING)

    @property
    def has_places(self) -> bool:
        """Whether a device can be given one; an update in a buffer has left its place free."""
        if self.concurrency is None:
            return self.is_open and self.assigned < self.capacity
        return self.is_open and self.assigned - self.accepted < self.concurrency

    @property
    def next_deadline(self) -> float:
        """When time alone moves an open round; infinite while its clock does not run."""
        if self.is_buffer and self.accepted < self.minimum:
            return math.inf
        is_selecting = self.phase is RoundPhase.SELECTING
        ends_at = self.selection_ends_at if is_selecting else self.report_ends_at
        return math.inf if ends_at is None else ends_at


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One device's place in one round; ``ends_at`` is when its present step must be done.

    ``base_version`` is the checkpoint it trains or measures. ``check_in_key`` is the digest of the
    Idempotency-Key of the check-in it was given for. ``codec`` is how its delta is encoded; it was
    agreed when the place was given.
    """

    id: str
    round_id: int
    device_id: str
    base_version: int = 0
    state: AssignmentState = AssignmentState.ASSIGNED
    reason: str | None = None
    assigned_at: float
    ends_at: float
    report: Report | None = None
    check_in_key: str | None = None
    codec: str = FLOAT32


def opening(
    task_id: int,
    settings: RoundSettings,
    *,
    number: int,
    attempt: int,
    base_version: int,
    now: float,
    kind: RoundKind = RoundKind.TRAIN,
) -> Round:
    """A round that nobody has joined yet; its selection clock does not run."""
    settings = settings.for_kind(kind)
    return Round(
        id=0,
        task_id=task_id,
        kind=kind,
        number=number,
        attempt=attempt,
        base_version=base_version,
        goal=settings.goal,
        minimum=settings.minimum,
        capacity=settings.capacity,
        selection_timeout_s=settings.selection_timeout_s,
        report_timeout_s=settings.report_timeout_s,
        opened_at=now,
        concurrency=settings.buffer.concurrency if settings.buffer else None,
        max_staleness=settings.buffer.max_staleness if settings.buffer else None,
    )


def on_clock(round_: Round, now: float) -> Round:
    """Takes the one step that time and the counts allow, or none; call until nothing changes."""
    if round_.is_open and round_.is_buffer:
        return _while_filling(round_, now)
    if round_.phase is RoundPhase.SELECTING:
        return _while_selecting(round_, now)
    if round_.phase is RoundPhase.REPORTING:
        return _while_reporting(round_, now)
    return round_


def _while_selecting(round_: Round, now: float) -> Round:
    if round_.selection_ends_at is None:
        if round_.assigned == 0:
            return round_
        return replace(round_, selection_ends_at=now + round_.selection_timeout_s)
    is_over = now >= round_.selection_ends_at
    if is_over and round_.assigned < round_.minimum:
        return on_abandon(round_, AbandonReason.TOO_FEW_DEVICES, now=now)
    if is_over or round_.assigned >= round_.capacity or round_.accepted >= round_.goal:
        ends_at = now + round_.report_timeout_s
        return replace(round_, phase=RoundPhase.REPORTING, report_ends_at=ends_at)
    return round_


def _while_filling(round_: Round, now: float) -> Round:
    """A buffer waits as long as it takes; only the minimum suffices some time after the first."""
    if round_.report_ends_at is None:
        if round_.accepted == 0:
            return round_
        ends_at = now + round_.report_timeout_s
        return replace(round_, phase=RoundPhase.REPORTING, report_ends_at=ends_at)
    wanted = round_.minimum if now >= round_.report_ends_at else round_.goal
    if round_.accepted >= wanted:
        return replace(round_, phase=RoundPhase.AGGREGATING)
    return round_


def _while_reporting(round_: Round, now: float) -> Round:
    is_over = round_.report_ends_at is not None and now >= round_.report_ends_at
    if round_.accepted >= (round_.minimum if is_over else round_.goal):
        return replace(round_, phase=RoundPhase.AGGREGATING)
    if is_over:
        return on_abandon(round_, AbandonReason.TOO_FEW_REPORTS, now=now)
    return round_


def on_commit(round_: Round, *, now: float) -> Round:
    """The new checkpoint is stored."""
    return replace(round_, phase=RoundPhase.COMMITTED, closed_at=now)


def on_abandon(round_: Round, reason: AbandonReason, *, now: float) -> Round:
    return replace(round_, phase=RoundPhase.ABANDONED, reason=reason.value, closed_at=now)
