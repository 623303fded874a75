"""What a device does with its place: report, upload, give it back, ask for its fate.

Every method is one step of docs/protocol.md and changes all of it or nothing. An update is
acknowledged only after its bytes and its row are durable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...protocol import wire
from ...protocol.admin import RoundPhase
from ...protocol.messages import AssignmentState, Fate, Outcome, Receipt, Report, UploadInstruction
from ...protocol.plan import RoundKind
from ..blobs import Blobs, ReadBytes, Staged
from ..coordination.coordinator import Coordinator
from ..states import places, rounds
from ..states.rounds import Assignment, Round
from ..store import Reading, Store, Writing
from ..trust.seals import Seals
from .held import (
    Held,
    UploadHead,
    held_by,
    receipt_of,
    require_head,
    require_in_time,
    require_plausible,
    require_usable,
)
from .steering import Steering


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
        """Takes an outcome: one that announces a delta is told where to send it."""
        with self.coordinator.turn():
            with self.store.write() as tx:
                tx.lock_task_of(assignment_id)
                now = self.clock()
                held = held_by(tx, device_id, assignment_id)
                require_plausible(report, held)
                moved = self._on_report(tx, held, report, now)
                self.coordinator.move(tx, held.assignment, moved, now=now)
                is_new = moved != held.assignment and moved.state is AssignmentState.MEASURED
                is_complete = is_new and self._count_measurement(tx, held.round, now)
            require_in_time(moved)
            if is_complete:
                self.coordinator.wake.set()
        if held.round.kind is RoundKind.EVALUATE or report.outcome is not Outcome.COMPLETED:
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
                self.coordinator.move(tx, held, places.on_abort(held), now=self.clock())

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

    def _on_report(self, tx: Writing, held: Held, report: Report, now: float) -> Assignment:
        round_ = self.coordinator.settle(tx, held.round, now)
        if round_.kind is RoundKind.EVALUATE:
            return places.on_measurement(held.assignment, report, round_=round_, now=now)
        timeout_s = held.task.message.settings.upload_timeout_s
        return places.on_report(
            held.assignment, report, round_=round_, upload_timeout_s=timeout_s, now=now
        )

    def _await(self, device_id: str, assignment_id: str, head: UploadHead) -> tuple[Held, str, int]:
        """The place, digest and length of the body that may follow; a late device is noted."""
        with self.store.glance() as view:
            held = held_by(view, device_id, assignment_id)
        length = require_head(head, held)
        sha256 = wire.parse_content_digest(head.content_digest)
        place, now = held.assignment, self.clock()
        if not places.is_awaited(place, sha256=sha256, round_=held.round, now=now):
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

    def _count_measurement(self, tx: Writing, round_: Round, now: float) -> bool:
        """Counts a report that is all a device sends; returns whether the round has its goal."""
        counted = tx.count_measurement(round_.id)
        return self.coordinator.settle(tx, counted, now).phase is RoundPhase.AGGREGATING

    def _on_upload(self, tx: Writing, held: Held, sha256: str, now: float) -> Assignment:
        round_ = self.coordinator.settle(tx, held.round, now)
        return places.on_upload(held.assignment, sha256=sha256, round_=round_, now=now)
