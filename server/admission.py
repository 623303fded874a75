"""Who takes part: devices enrol, and check in for a place in a round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..protocol import wire
from ..protocol.admin import TaskStatus
from ..protocol.errors import (
    NotFound,
    UnsupportedVersion,
)
from ..protocol.messages import (
    PROTOCOL_VERSION,
    Assignment,
    AssignmentState,
    Capabilities,
    CheckIn,
    Device,
    Enrolment,
    Rejection,
    RejectionReason,
    Resource,
)
from ..protocol.plan import RoundKind
from ..protocol.weights import WeightSpec
from . import rounds
from .access import token_digest
from .coordinator import Coordinator
from .offers import Offer, in_fair_order
from .rounds import Round
from .store import Reading, Store, Task, Writing
from .watch import bind

CODEC = "float32"
MAX_VERSION_LENGTH = 100
# The last version of a task that is finished is still measured.
_KINDS_SERVED = {
    TaskStatus.RUNNING: tuple(RoundKind),
    TaskStatus.FINISHED: (RoundKind.EVALUATE,),
}
_DETAILS = {
    RejectionReason.NO_TASK: "no task of this population runs",
    RejectionReason.ROUND_FULL: "every place of this round is taken",
    RejectionReason.ALREADY_TOOK_PART: "this device has served this round",
    RejectionReason.NOT_CAPABLE: "this device cannot decode or hold the model",
}


@dataclass(frozen=True, kw_only=True)
class Admission:
    """Gives devices their tokens and their places."""

    store: Store
    coordinator: Coordinator
    clock: Callable[[], float]
    entropy: Callable[[int], bytes]

    def enrol(self, enrolment: Enrolment) -> Device:
        """Makes a device known; only the digest of its token is kept."""
        _require_version(enrolment.protocol_version)
        device = Device(device_id=self.entropy(16).hex(), token=self.entropy(32).hex())
        with self.store.write() as tx:
            tx.add_device(
                device_id=device.device_id,
                token_sha256=token_digest(device.token),
                client_version=enrolment.client_version[:MAX_VERSION_LENGTH],
                now=self.clock(),
            )
        return device

    def check_in(self, device_id: str, population: str, message: CheckIn) -> Assignment | Rejection:
        """Gives the device a place, the one it holds already if there is one, or turns it away.

        Raises NotFound when no task was ever created for the population.
        """
        _require_version(message.protocol_version)
        with self.coordinator.turn(), self.store.write() as tx:
            now = self.clock()
            tasks = tx.tasks_of(population)
            if not tasks:
                raise NotFound(f"no population {population[:64]!r}; check the app's settings")
            offers = self._offers(tx, tasks, message.capabilities, now)
            held = tx.open_assignment(device_id=device_id, population=population, now=now)
            if held is not None:
                return self._describe(tx, held, now)
            reasons = [RejectionReason.NO_TASK] if not offers else []
            for task, round_ in offers:
                given = self._place(tx, task, round_, device_id, message.capabilities, now)
                if isinstance(given, rounds.Assignment):
                    return self._describe(tx, given, now)
                reasons.append(given)
            bind(reason=reasons[0])
            tx.count_sighting(reasons[0], population=population, now=now)
            return Rejection(
                reason=reasons[0],
                detail=_DETAILS[reasons[0]],
                retry=tasks[0].message.settings.retry,
            )

    def _offers(
        self, tx: Writing, tasks: list[Task], capabilities: Capabilities, now: float
    ) -> list[Offer]:
        """The rounds a device could serve, the one that wants it most first."""
        return in_fair_order(
            (task, round_)
            for task in tasks
            for kind in _KINDS_SERVED.get(task.status, ())
            if kind in capabilities.kinds
            and (round_ := self.coordinator.current_round(tx, task.id, kind, now))
        )

    def _place(
        self,
        tx: Writing,
        task: Task,
        round_: Round,
        device_id: str,
        capabilities: Capabilities,
        now: float,
    ) -> rounds.Assignment | RejectionReason:
        if not _is_capable(capabilities, task):
            return RejectionReason.NOT_CAPABLE
        if tx.took_part(round_id=round_.id, device_id=device_id):
            return RejectionReason.ALREADY_TOOK_PART
        taken = tx.take_place(round_.id)
        if taken is None:
            return RejectionReason.ROUND_FULL
        given = rounds.Assignment(
            id=self.entropy(16).hex(),
            round_id=round_.id,
            device_id=device_id,
            assigned_at=now,
            ends_at=now + task.message.settings.for_kind(round_.kind).compute_timeout_s,
        )
        tx.add_assignment(given)
        tx.take_turn(task.id)
        self.coordinator.expect(given.ends_at)
        self.coordinator.settle(tx, taken, now)
        return given

    def _describe(self, view: Reading, held: rounds.Assignment, now: float) -> Assignment:
        round_ = view.round(held.round_id)
        task = view.task(round_.task_id)
        message, settings = task.message, task.message.settings
        base = view.the_checkpoint(task.id, round_.base_version)
        bind(task=message.name, kind=round_.kind.value, round=round_.number, attempt=round_.attempt)
        bind(assignment=held.id)
        remaining_s = max(0.0, held.ends_at - now)
        has_reported = held.state is AssignmentState.REPORTED
        return Assignment(
            assignment_id=held.id,
            task=message.name,
            kind=round_.kind,
            round=round_.number,
            attempt=round_.attempt,
            checkpoint=_resource(base.sha256, base.bytes),
            model=_resource(message.model_sha256, task.model_bytes),
            manifest=_resource(message.manifest_sha256, task.manifest_bytes),
            plan=message.plan,
            codec=CODEC,
            compute_within_s=0.0 if has_reported else remaining_s,
            upload_within_s=remaining_s if has_reported else settings.upload_timeout_s,
            retry=settings.retry,
        )


def _require_version(version: int) -> None:
    if version != PROTOCOL_VERSION:
        raise UnsupportedVersion(
            f"got protocol version {version}, this server speaks {PROTOCOL_VERSION}; "
            f"update the app or the server"
        )


def _is_capable(capabilities: Capabilities, task: Task) -> bool:
    length = wire.encoded_bytes(WeightSpec(task.message.spec))
    needed = task.model_bytes + task.manifest_bytes + length
    has_room = capabilities.max_bytes is None or capabilities.max_bytes >= needed
    return CODEC in capabilities.codecs and has_room


def _resource(sha256: str, length: int) -> Resource:
    return Resource(url=f"/v1/blobs/{sha256}", sha256=sha256, bytes=length)
