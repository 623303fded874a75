"""What a device does with its place: report, upload, give it back, ask for its fate.

Every method is one step of docs/protocol.md and changes all of it or nothing. An update is
acknowledged only after its bytes and its row are durable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..protocol import wire
from ..protocol.admin import RoundPhase
from ..protocol.errors import (
    ImplausibleReport,
    LengthRequired,
    NotAssigned,
    NotFound,
    PayloadTooLarge,
    RoundClosed,
    SpecMismatch,
    UnsupportedMediaType,
)
from ..protocol.messages import (
    AssignmentState,
    Fate,
    Outcome,
    Receipt,
    Report,
    UploadInstruction,
)
from ..protocol.plan import RoundKind
from ..protocol.weights import WeightSpec
from . import rounds
from .aggregators import require_moderate
from .blobs import Blobs, ReadBytes, Staged
from .coordinator import Coordinator
from .measurements import require_measurement
from .rounds import Assignment, Round
from .store import Reading, Store, Task, Writing
from .watch import bind


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
    def encoded_bytes(self) -> int:
        return wire.encoded_bytes(self.spec)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Takes reports and updates."""

    store: Store
    blobs: Blobs
    coordinator: Coordinator
    clock: Callable[[], float]

    def report(
        self, device_id: str, assignment_id: str, report: Report
    ) -> UploadInstruction | Fate:
        """Takes an outcome: one that announces a delta is told where to send it."""
        with self.coordinator.turn():
            with self.store.write() as tx:
                now = self.clock()
                held = _held(tx, device_id, assignment_id)
                _require_plausible(report, held)
                moved = self._on_report(tx, held, report, now)
                self.coordinator.move(tx, held.assignment, moved, now=now)
                is_new = moved != held.assignment and moved.state is AssignmentState.MEASURED
                is_complete = is_new and self._count_measurement(tx, held.round, now)
            _require_in_time(moved)
            if is_complete:
                self.coordinator.wake.set()
        if held.round.kind is RoundKind.EVALUATE or report.outcome is not Outcome.COMPLETED:
            return _fate(moved, held.task)
        return UploadInstruction(
            url=f"/v1/assignments/{moved.id}/update",
            headers={"Content-Type": wire.MEDIA_TYPE},
            upload_within_s=max(0.0, moved.ends_at - now),
        )

    def upload(
        self, device_id: str, assignment_id: str, head: UploadHead, read: ReadBytes
    ) -> tuple[Receipt, bool]:
        """Takes the announced bytes; the flag claims that they are new.

        Checks in the order of docs/protocol.md, the round once more after the body has arrived.
        """
        with self.coordinator.turn():
            spec, sha256 = self._await(device_id, assignment_id, head)
            with self.blobs.stage(read, length=wire.encoded_bytes(spec)) as staged:
                staged.require(sha256)
                _require_usable(staged, spec)
                return self._accept(device_id, assignment_id, staged)

    def abort(self, device_id: str, assignment_id: str) -> None:
        """Gives the place back, if this device holds it."""
        with self.coordinator.turn(), self.store.write() as tx:
            held = tx.assignment(assignment_id)
            if held is not None and held.device_id == device_id:
                self.coordinator.move(tx, held, rounds.on_abort(held), now=self.clock())

    def fate(self, device_id: str, assignment_id: str) -> Fate:
        """Where an assignment stands."""
        with self.coordinator.turn(), self.store.read() as view:
            held = _held(view, device_id, assignment_id)
            return _fate(held.assignment, held.task)

    def _on_report(self, tx: Writing, held: Held, report: Report, now: float) -> Assignment:
        round_ = self.coordinator.settle(tx, held.round, now)
        if round_.kind is RoundKind.EVALUATE:
            return rounds.on_measurement(held.assignment, report, round_=round_, now=now)
        timeout_s = held.task.message.settings.upload_timeout_s
        return rounds.on_report(
            held.assignment, report, round_=round_, upload_timeout_s=timeout_s, now=now
        )

    def _await(
        self, device_id: str, assignment_id: str, head: UploadHead
    ) -> tuple[WeightSpec, str]:
        """The spec and digest of the body that may follow; a late device is noted as late."""
        with self.store.write() as tx:
            now = self.clock()
            held = _held(tx, device_id, assignment_id)
            _require_head(head, held)
            sha256 = wire.parse_content_digest(head.content_digest)
            after = self._on_upload(tx, held, sha256, now)
            if after.state is AssignmentState.LATE:
                self.coordinator.move(tx, held.assignment, after, now=now)
        _require_in_time(after)
        return held.spec, sha256

    def _accept(self, device_id: str, assignment_id: str, staged: Staged) -> tuple[Receipt, bool]:
        with self.store.write() as tx:
            now = self.clock()
            held = _held(tx, device_id, assignment_id)
            before, after = held.assignment, self._on_upload(tx, held, staged.sha256, now)
            self.coordinator.move(tx, before, after, now=now)
            is_new = after != before and after.state is AssignmentState.UPLOADED
            is_complete = is_new and self._count(tx, after, staged, now)
        _require_in_time(after)
        if is_complete:
            self.coordinator.wake.set()
        return Receipt(assignment_id=after.id, sha256=staged.sha256, bytes=staged.bytes), is_new

    def _count(self, tx: Writing, accepted: Assignment, staged: Staged, now: float) -> bool:
        """Makes the bytes durable, then counts them; returns whether the round has its goal."""
        self.blobs.publish(staged)
        counted = tx.accept_update(accepted, now=now)
        return self.coordinator.settle(tx, counted, now).phase is RoundPhase.AGGREGATING

    def _count_measurement(self, tx: Writing, round_: Round, now: float) -> bool:
        """Counts a report that is all a device sends; returns whether the round has its goal."""
        counted = tx.count_measurement(round_.id)
        return self.coordinator.settle(tx, counted, now).phase is RoundPhase.AGGREGATING

    def _on_upload(self, tx: Writing, held: Held, sha256: str, now: float) -> Assignment:
        round_ = self.coordinator.settle(tx, held.round, now)
        return rounds.on_upload(held.assignment, sha256=sha256, round_=round_, now=now)


def _held(view: Reading, device_id: str, assignment_id: str) -> Held:
    """Raises NotFound for an unknown assignment, NotAssigned for another device's."""
    assignment = view.assignment(assignment_id)
    if assignment is None:
        raise NotFound(f"no assignment {assignment_id[:64]!r}; check in again")
    if assignment.device_id != device_id:
        raise NotAssigned("this assignment is another device's; check in again")
    round_ = view.round(assignment.round_id)
    task = view.task(round_.task_id)
    bind(
        task=task.message.name, kind=round_.kind.value, round=round_.number, attempt=round_.attempt
    )
    return Held(assignment=assignment, round=round_, task=task)


def _fate(assignment: Assignment, task: Task) -> Fate:
    return Fate(
        assignment_id=assignment.id,
        state=assignment.state,
        reason=assignment.reason,
        retry=task.message.settings.retry,
    )


def _require_plausible(report: Report, held: Held) -> None:
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
    if report.bytes != held.encoded_bytes:
        raise ImplausibleReport(
            f"the announced body has {report.bytes} bytes, this model's has {held.encoded_bytes}; "
            f"encode the delta over the whole layout"
        )
    if report.sha256 is None:
        raise ImplausibleReport("a completed report announces the SHA-256 of its body; add it")


def _require_head(head: UploadHead, held: Held) -> None:
    """Raises unless the head announces a body as this model's deltas are."""
    wanted = held.encoded_bytes
    if head.media_type != wire.MEDIA_TYPE:
        raise UnsupportedMediaType(
            f"got Content-Type {head.media_type[:100]!r}, expected {wire.MEDIA_TYPE}"
        )
    if head.length is None:
        raise LengthRequired(f"send Content-Length, which is {wanted} for this model")
    if head.length > wanted:
        raise PayloadTooLarge(f"Content-Length is {head.length}, this model takes {wanted}")
    if head.length < wanted:
        raise SpecMismatch(f"Content-Length is {head.length}, this model takes {wanted}")


def _require_usable(staged: Staged, spec: WeightSpec) -> None:
    """Raises SpecMismatch, NonFiniteDelta or ImplausibleReport for a delta that must not count."""
    delta = wire.decode(staged.path.read_bytes(), spec).vector
    wire.require_finite(delta)
    require_moderate(delta)


def _require_in_time(assignment: Assignment) -> None:
    if assignment.state is AssignmentState.LATE:
        raise RoundClosed("the round closed before this update came; drop it and check in again")
