"""The round and the assignment as pure state machines: (state, event, now) -> state, no IO.

::

    round        selecting -> reporting -> aggregating -> committed
                 and from each of these three -> abandoned(reason)
    assignment   assigned -> reported -> uploaded -> folded
                 assigned -> measured -> folded in a round that evaluates
                 assigned | reported -> expired | aborted | late;   assigned -> failed

A function that refuses an event raises and so leaves the state as it was; a device that comes
after its round has closed is the exception: that it was late is worth knowing, so ``late`` is a
state, and the caller refuses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from ..protocol.admin import RoundPhase, TaskStatus
from ..protocol.codecs import FLOAT32
from ..protocol.errors import AssignmentExpired, ReportConflict
from ..protocol.messages import AssignmentState, Outcome, Report
from ..protocol.plan import RoundKind, RoundSettings

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
    store's; it is 0 until the round is stored.
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

    @property
    def is_open(self) -> bool:
        """Whether it gives places and takes reports and updates."""
        return self.phase in OPEN_PHASES

    @property
    def next_deadline(self) -> float:
        """When time alone moves an open round; infinite while its clock does not run."""
        is_selecting = self.phase is RoundPhase.SELECTING
        ends_at = self.selection_ends_at if is_selecting else self.report_ends_at
        return math.inf if ends_at is None else ends_at


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One device's place in one round; ``ends_at`` is when its present step must be done.

    ``check_in_key`` is the digest of the Idempotency-Key of the check-in it was given for.
    ``codec`` is how its delta is encoded; it was agreed when the place was given.
    """

    id: str
    round_id: int
    device_id: str
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
    )


def on_clock(round_: Round, now: float) -> Round:
    """Takes the one step that time and the counts allow, or none; call until nothing changes."""
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


def on_report(
    held: Assignment, report: Report, *, round_: Round, upload_timeout_s: float, now: float
) -> Assignment:
    """A device announces its outcome; the same report again changes nothing.

    Raises ReportConflict for a different report, AssignmentExpired when the place is gone.
    """
    if held.report is not None and held.report != report:
        raise ReportConflict("another report was taken for this assignment; drop the delta")
    if held.state is AssignmentState.FAILED or held.state in ACCEPTED_STATES:
        return held
    if _is_late(held, round_, now=now):
        return replace(held, state=AssignmentState.LATE)
    if held.report is not None:
        return held
    if report.outcome is not Outcome.COMPLETED:
        return replace(
            held, state=AssignmentState.FAILED, reason=report.outcome.value, report=report
        )
    return replace(
        held, state=AssignmentState.REPORTED, report=report, ends_at=now + upload_timeout_s
    )


def on_measurement(held: Assignment, report: Report, *, round_: Round, now: float) -> Assignment:
    """A device of a round that evaluates announces its outcome; a completed one is all it sends.

    Raises what ``on_report`` raises.
    """
    moved = on_report(held, report, round_=round_, upload_timeout_s=0.0, now=now)
    if moved.state is AssignmentState.REPORTED:
        return replace(moved, state=AssignmentState.MEASURED)
    return moved


def on_upload(held: Assignment, *, sha256: str, round_: Round, now: float) -> Assignment:
    """A device sends the bytes it has announced; the same bytes again change nothing.

    Raises ReportConflict for other bytes, AssignmentExpired when the place is gone.
    """
    expected = announced(held).sha256
    if expected != sha256:
        raise ReportConflict(f"got the update {sha256}, announced was {expected}; drop the delta")
    if held.state in ACCEPTED_STATES:
        return held
    if _is_late(held, round_, now=now):
        return replace(held, state=AssignmentState.LATE)
    return replace(held, state=AssignmentState.UPLOADED)


def is_awaited(held: Assignment, *, sha256: str, round_: Round, now: float) -> bool:
    """Whether a round waits for these bytes and no step of its clock is due.

    Raises as ``on_upload``.
    """
    if on_clock(round_, now) != round_:
        return False
    return on_upload(held, sha256=sha256, round_=round_, now=now).state is not AssignmentState.LATE


def announced(held: Assignment) -> Report:
    """The report that announced an update; raises ReportConflict when there is none."""
    if held.report is None or held.report.outcome is not Outcome.COMPLETED:
        raise ReportConflict("no update was announced for this assignment; report first")
    return held.report


def on_abort(held: Assignment) -> Assignment:
    """A device gives its place back; one that has none any more changes nothing."""
    if held.state in OPEN_STATES:
        return replace(held, state=AssignmentState.ABORTED)
    return held


def on_expiry(held: Assignment) -> Assignment:
    """The deadline of the present step has passed."""
    missed = "compute" if held.state is AssignmentState.ASSIGNED else "upload"
    return replace(held, state=AssignmentState.EXPIRED, reason=missed)


def on_fold(held: Assignment) -> Assignment:
    """The update is part of a checkpoint, or the measurement part of an evaluation."""
    return replace(held, state=AssignmentState.FOLDED)


def _is_late(held: Assignment, round_: Round, *, now: float) -> bool:
    """Whether the round has gone on without this device; raises AssignmentExpired."""
    if held.state in GONE_STATES:
        raise AssignmentExpired(f"this assignment is {held.state.value}; check in again")
    if held.state is AssignmentState.LATE or not round_.is_open:
        return True
    if now >= held.ends_at:
        raise AssignmentExpired("the deadline of this assignment has passed; check in again")
    return False
