"""A device's place as a pure state machine: (state, event, now) -> state, no IO.

::

    assigned -> reported -> uploaded -> folded
    assigned -> measured -> folded in a round that evaluates
    assigned | reported -> expired | aborted | late;   assigned -> failed

A function that refuses an event raises and so leaves the state as it was; a device that comes
after its round has closed is the exception: that it was late is worth knowing, so ``late`` is a
state, and the caller refuses.
"""

from __future__ import annotations

from dataclasses import replace

from ...protocol.errors import AssignmentExpired, ReportConflict, Unavailable
from ...protocol.messages import AssignmentState, Outcome, Report
from .rounds import ACCEPTED_STATES, GONE_STATES, OPEN_STATES, Assignment, Round, on_clock

TOO_STALE = "too_stale"
# A device tries an upload three times: so long, all in all, may a fold take.
FOLD_RETRY_S = 10.0


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

    Raises ReportConflict for other bytes, AssignmentExpired when the place is gone, Unavailable
    while a full buffer has yet to make room.
    """
    expected = announced(held).sha256
    if expected != sha256:
        raise ReportConflict(f"got the update {sha256}, announced was {expected}; drop the delta")
    if held.state in ACCEPTED_STATES:
        return held
    if _is_late(held, round_, now=now):
        return replace(held, state=AssignmentState.LATE)
    if not round_.is_open:
        reason = "the buffer is full and being folded; send the same update again"
        raise Unavailable(reason, retry_after_s=FOLD_RETRY_S)
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


def on_succession(held: Assignment, following: Round) -> Assignment:
    """A buffer ended before this place: it goes over to the next one, unless it is too stale."""
    if following.max_staleness is None or staleness(held, following) > following.max_staleness:
        return replace(held, state=AssignmentState.LATE, reason=TOO_STALE)
    return replace(held, round_id=following.id)


def staleness(held: Assignment, round_: Round) -> int:
    """How many versions lie between what a device trained and what its update is folded onto."""
    return round_.base_version - held.base_version


def on_fold(held: Assignment) -> Assignment:
    """The update is part of a checkpoint, or the measurement part of an evaluation."""
    return replace(held, state=AssignmentState.FOLDED)


def _is_late(held: Assignment, round_: Round, *, now: float) -> bool:
    """Whether the round has gone on without this device; raises AssignmentExpired."""
    if held.state in GONE_STATES:
        raise AssignmentExpired(f"this assignment is {held.state.value}; check in again")
    if held.state is AssignmentState.LATE or not round_.keeps_places:
        return True
    if now >= held.ends_at:
        raise AssignmentExpired("the deadline of this assignment has passed; check in again")
    return False
