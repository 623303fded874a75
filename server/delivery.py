"""What a device does with its place: report, upload, give it back, ask for its fate.

Every method is one step of docs/protocol.md and changes all of it or nothing. An update is
acknowledged only after its bytes and its row are durable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..protocol import wire
from ..protocol.admin import RoundPhase
from ..protocol.codecs import Codec, codec_named
from ..protocol.errors import (
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
from ..protocol.messages import (
    AssignmentState,
    Fate,
    Outcome,
    Receipt,
    Report,
    UploadInstruction,
)
from ..protocol.weights import WeightSpec
from . import rounds
from .blobs import Blobs, ReadBytes, Staged
from .coordinator import Coordinator
from .rounds import Assignment, Round
from .seals import Seals
from .steering import Steering
from .store import Reading, Store, Task, Writing
from .sums import require_moderate


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


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Takes reports and updates."""

    store: Store
    blobs: Blobs
    coordinator: Coordinator
    clock: Callable[[], float]
    seals: Seals
    steering: Steering

    def report(
        self, device_id: str, assignment_id: str, report: Report
    ) -> UploadInstruction | Fate:
        """Takes an outcome: a completed one is told where to send the delta."""
        with self.coordinator.turn():
            with self.store.write() as tx:
                tx.lock_task_of(assignment_id)
                now = self.clock()
                held = held_by(tx, device_id, assignment_id)
                _require_plausible(report, held)
                moved = rounds.on_report(
                    held.assignment,
                    report,
                    round_=self.coordinator.settle(tx, held.round, now),
                    upload_timeout_s=held.task.message.settings.upload_timeout_s,
                    now=now,
                )
                self.coordinator.move(tx, held.assignment, moved, now=now)
            require_in_time(moved)
        if report.outcome is not Outcome.COMPLETED:
            with self.store.read() as view:
                return self._fate(view, moved, held, now)
        return self._instruction(moved, report, upload_within_s=max(0.0, moved.ends_at - now))

    def upload(
        self, device_id: str, assignment_id: str, head: UploadHead, read: ReadBytes
    ) -> tuple[Receipt, bool]:
        """Takes the announced bytes; the flag claims that they are new.

        Checks in the order of docs/protocol.md, the round once more after the body has arrived.
        """
        with self.coordinator.turn():
            held, sha256, length = self._await(device_id, assignment_id, head)
            with self.blobs.stage(read, length=length) as staged:
                staged.require(sha256)
                require_usable(staged, held)
                return self._accept(held, staged)

    def abort(self, device_id: str, assignment_id: str) -> None:
        """Gives the place back, if this device holds it."""
        with self.coordinator.turn(), self.store.write() as tx:
            tx.lock_task_of(assignment_id)
            held = tx.assignment(assignment_id)
            if held is not None and held.device_id == device_id:
                self.coordinator.move(tx, held, rounds.on_abort(held), now=self.clock())

    def fate(self, device_id: str, assignment_id: str) -> Fate:
        """Where an assignment stands."""
        with self.coordinator.turn(), self.store.read() as view:
            held = held_by(view, device_id, assignment_id)
            return self._fate(view, held.assignment, held, self.clock())

    def _fate(self, view: Reading, assignment: Assignment, held: Held, now: float) -> Fate:
        return Fate(
            assignment_id=assignment.id,
            state=assignment.state,
            reason=assignment.reason,
            retry=self.steering.window(view, held.task, round_=held.round, now=now),
        )

    def _instruction(
        self, held: Assignment, report: Report, *, upload_within_s: float
    ) -> UploadInstruction:
        """Where the announced body goes: into the store itself where devices may, else to us."""
        if self.blobs.direct is None:
            return UploadInstruction(
                url=f"/v1/assignments/{held.id}/update",
                headers={
                    "Content-Type": wire.MEDIA_TYPE,
                    "Authorization": f"Bearer {self.seals.upload(held.id)}",
                },
                upload_within_s=upload_within_s,
            )
        offer = self.blobs.direct.offer(
            held.id, sha256=str(report.sha256), length=report.bytes, expires_s=upload_within_s
        )
        return UploadInstruction(
            url=offer.url,
            headers=offer.headers,
            upload_within_s=upload_within_s,
            commit_url=f"/v1/assignments/{held.id}/commit",
        )

    def _await(self, device_id: str, assignment_id: str, head: UploadHead) -> tuple[Held, str, int]:
        """The place, digest and length of the body that may follow; a late device is noted."""
        with self.store.glance() as view:
            held = held_by(view, device_id, assignment_id)
        length = _require_head(head, held)
        sha256 = wire.parse_content_digest(head.content_digest)
        place, now = held.assignment, self.clock()
        if not rounds.is_awaited(place, sha256=sha256, round_=held.round, now=now):
            self._note_late(device_id, assignment_id, sha256)
        return held, sha256, length

    def _note_late(self, device_id: str, assignment_id: str, sha256: str) -> None:
        """Looks again while nobody else can move the round; raises RoundClosed if it is over."""
        with self.store.write() as tx:
            tx.lock_task_of(assignment_id)
            now = self.clock()
            held = held_by(tx, device_id, assignment_id)
            after = self._on_upload(tx, held, sha256, now)
            if after.state is AssignmentState.LATE:
                self.coordinator.move(tx, held.assignment, after, now=now)
        require_in_time(after)

    def _accept(self, held: Held, staged: Staged) -> tuple[Receipt, bool]:
        """Counts a body that was asked for when it began to come, if it still is."""
        device_id, assignment_id = held.assignment.device_id, held.assignment.id
        if held.assignment.state in rounds.OPEN_STATES:
            self.blobs.prepare(staged)
        with self.store.write() as tx:
            tx.lock_blob(staged.sha256)
            tx.lock_task_of(assignment_id)
            now = self.clock()
            held = held_by(tx, device_id, assignment_id)
            before, after = held.assignment, self._on_upload(tx, held, staged.sha256, now)
            self.coordinator.move(tx, before, after, now=now)
            is_new = after != before and after.state is AssignmentState.UPLOADED
            is_complete = is_new and self._count(tx, after, staged, now)
        require_in_time(after)
        if is_complete:
            self.coordinator.wake.set()
        return receipt_of(after), is_new

    def _count(self, tx: Writing, accepted: Assignment, staged: Staged, now: float) -> bool:
        """Makes the bytes durable, then counts them; returns whether the round has its goal."""
        self.blobs.publish(staged)
        counted = tx.accept_update(accepted, now=now)
        return self.coordinator.settle(tx, counted, now).phase is RoundPhase.AGGREGATING

    def _on_upload(self, tx: Writing, held: Held, sha256: str, now: float) -> Assignment:
        round_ = self.coordinator.settle(tx, held.round, now)
        return rounds.on_upload(held.assignment, sha256=sha256, round_=round_, now=now)


def held_by(view: Reading, device_id: str, assignment_id: str) -> Held:
    """Raises NotFound for an unknown assignment, NotAssigned for another device's."""
    found = view.held_place(assignment_id)
    if found is None:
        raise NotFound(f"no assignment {assignment_id[:64]!r}; check in again")
    assignment, round_, task = found
    if assignment.device_id != device_id:
        raise NotAssigned("this assignment is another device's; check in again")
    return Held(assignment=assignment, round=round_, task=task)


def receipt_of(accepted: Assignment) -> Receipt:
    report = rounds.announced(accepted)
    return Receipt(assignment_id=accepted.id, sha256=str(report.sha256), bytes=report.bytes)


def _require_plausible(report: Report, held: Held) -> None:
    """Raises ImplausibleReport for a completed report that no honest device sends."""
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


def _require_head(head: UploadHead, held: Held) -> int:
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
    if assignment.state is AssignmentState.LATE:
        raise RoundClosed("the round closed before this update came; drop it and check in again")
