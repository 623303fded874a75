"""A place as its device may use it, and what its reports and uploads must be like."""

from __future__ import annotations

from dataclasses import dataclass

from ...protocol import wire
from ...protocol.codecs import Codec, codec_named
from ...protocol.errors import (
    ImplausibleReport,
    LengthRequired,
    NotAssigned,
    NotFound,
    PayloadTooLarge,
    ReportConflict,
    RoundClosed,
    SpecMismatch,
    UnsupportedMediaType,
)
from ...protocol.messages import AssignmentState, Outcome, Receipt, Report
from ...protocol.plan import RoundKind
from ...protocol.weights import WeightSpec
from ..blobs import Staged
from ..coordination.measurements import require_measurement
from ..folding.sums import require_moderate
from ..states import places
from ..states.rounds import Assignment, Round
from ..store import Reading, Task
from ..watch import bind


@dataclass(frozen=True, kw_only=True)
class UploadHead:
    """What an upload says of itself before its body."""

    media_type: str
    length: int | None
    content_digest: str


@dataclass(frozen=True, kw_only=True)
class Held:
    """An assignment with its round and task."""

    assignment: Assignment
    round: Round
    task: Task

    @property
    def spec(self) -> WeightSpec:
        return WeightSpec(self.task.message.spec)

    @property
    def codec(self) -> Codec:
        return codec_named(self.assignment.codec)

    @property
    def max_bytes(self) -> int:
        """The length of every body this assignment may send, or of the longest framed one."""
        return self.codec.max_bytes(self.spec)


def held_by(view: Reading, device_id: str, assignment_id: str) -> Held:
    """Raises NotFound for an unknown assignment, NotAssigned for another device's."""
    found = view.held_place(assignment_id)
    if found is None:
        raise NotFound(f"no assignment {assignment_id[:64]!r}; check in again")
    assignment, round_, task = found
    if assignment.device_id != device_id:
        raise NotAssigned("this assignment is another device's; check in again")
    bind(
        task=task.message.name, kind=round_.kind.value, round=round_.number, attempt=round_.attempt
    )
    return Held(assignment=assignment, round=round_, task=task)


def receipt_of(accepted: Assignment) -> Receipt:
    report = places.announced(accepted)
    return Receipt(assignment_id=accepted.id, sha256=str(report.sha256), bytes=report.bytes)


def require_plausible(report: Report, held: Held) -> None:
    """Raises ImplausibleReport for a completed report that no honest device sends."""
    if held.round.kind is RoundKind.EVALUATE:
        require_measurement(report, max_examples=held.task.message.plan.max_examples)
        return
    if report.outcome is not Outcome.COMPLETED:
        return
    limit = held.task.message.plan.max_examples
    if not 1 <= report.num_examples <= limit:
        raise ImplausibleReport(
            f"num_examples is {report.num_examples}, expected 1 to {limit}; drop the delta"
        )
    if not _fits(report.bytes, held):
        raise ImplausibleReport(
            f"the announced body has {report.bytes} bytes, expected {_expected(held)}; "
            f"encode the delta over the whole layout"
        )
    if report.sha256 is None:
        raise ImplausibleReport("a completed report announces the SHA-256 of its body; add it")


def _fits(length: int, held: Held) -> bool:
    is_exact, most = held.codec.is_exact, held.max_bytes
    return length == most if is_exact else 1 <= length <= most


def _expected(held: Held) -> str:
    """The lengths a body of this assignment may have, in words."""
    bound = "" if held.codec.is_exact else "at most "
    return f"{bound}{held.max_bytes} for this model in {held.codec.name}"


def require_head(head: UploadHead, held: Held) -> int:
    """The announced length; raises unless the head is that of the reported body."""
    if head.media_type != wire.MEDIA_TYPE:
        raise UnsupportedMediaType(
            f"got Content-Type {head.media_type[:100]!r}, expected {wire.MEDIA_TYPE}"
        )
    if head.length is None:
        raise LengthRequired(f"send Content-Length, which is {_expected(held)}")
    if head.length > held.max_bytes:
        raise PayloadTooLarge(f"Content-Length is {head.length}, expected {_expected(held)}")
    if not _fits(head.length, held):
        raise SpecMismatch(f"Content-Length is {head.length}, expected {_expected(held)}")
    report = held.assignment.report
    if report is not None and report.bytes != head.length:
        raise ReportConflict(
            f"Content-Length is {head.length}, announced was {report.bytes}; drop the delta"
        )
    return head.length


def require_usable(staged: Staged, held: Held) -> None:
    """Raises as the codec does, or ImplausibleReport, for a delta that must not count."""
    require_moderate(held.codec.decode(staged.read(), held.spec))


def require_in_time(assignment: Assignment) -> None:
    """Raises RoundClosed for a place whose round has gone on without it."""
    if assignment.state is not AssignmentState.LATE:
        return
    if assignment.reason == places.TOO_STALE:
        raise RoundClosed(
            f"this update is of version {assignment.base_version}, which has fallen too far behind "
            f"the newest; drop it and check in again"
        )
    raise RoundClosed("the round closed before this update came; drop it and check in again")
