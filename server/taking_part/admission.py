"""Who takes part: devices check in for a place in a round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...protocol import wire
from ...protocol.codecs import agreed
from ...protocol.errors import AssignmentExpired, NotFound, UnsupportedVersion
from ...protocol.messages import (
    PROTOCOL_VERSION,
    Assignment,
    AssignmentState,
    Capabilities,
    CheckIn,
    Rejection,
    RejectionReason,
    Resource,
)
from ...protocol.plan import RetryWindow, RoundKind
from ...protocol.weights import WeightSpec
from ..coordination.coordinator import Coordinator
from ..running.headroom import Headroom
from ..states import rounds
from ..states.rounds import Round
from ..store import Reading, Store, Task, Writing
from ..trust.limits import Limit
from ..trust.rates import require_rate
from ..watch import bind
from ..web.access import token_digest
from .offers import Offer, in_fair_order
from .steering import Steering

# Room is made by an operator: nothing is gained by asking every few minutes.
STORAGE_LOW_RETRY = RetryWindow(min_s=1800.0, max_s=5400.0)
_DETAILS = {
    RejectionReason.NO_TASK: "no task of this population runs",
    RejectionReason.ROUND_FULL: "every place of this round is taken",
    RejectionReason.ALREADY_TOOK_PART: "this device has served this round",
    RejectionReason.NOT_CAPABLE: "this device cannot hold the model, or encode as the task asks",
    RejectionReason.STORAGE_LOW: "the server has too little room for further updates",
}


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One check-in: who comes for which population, with what, and when."""

    device_id: str
    population: str
    capabilities: Capabilities
    key_sha256: str | None
    now: float


@dataclass(frozen=True, kw_only=True)
class Admission:
    """Gives devices their places."""

    store: Store
    coordinator: Coordinator
    headroom: Headroom
    clock: Callable[[], float]
    entropy: Callable[[int], bytes]
    steering: Steering
    check_ins: Limit

    def check_in(
        self, device_id: str, population: str, message: CheckIn, *, key: str | None = None
    ) -> Assignment | Rejection:
        """Gives the device a place, the one it holds already if there is one, or turns it away.

        A check-in that comes twice with one ``key`` takes no second place. Raises NotFound when no
        task was ever created for the population, RateLimited when the device asks too often.
        """
        require_version(message.protocol_version)
        with self.coordinator.turn(), self.store.write() as tx:
            tasks = tx.tasks_of(population)
            if not tasks:
                raise NotFound(f"no population {population[:64]!r}; check the app's settings")
            visit = Visit(
                device_id=device_id,
                population=population,
                capabilities=message.capabilities,
                key_sha256=None if key is None else token_digest(key),
                now=self.clock(),
            )
            require_rate(tx, f"device {device_id}", self.check_ins, now=visit.now)
            tx.note_visit(population=population, device_id=device_id, now=visit.now)
            answer = self._receive(tx, tasks, visit)
            if answer is None:
                answer = self._turn_away(tx, tasks[0], None, RejectionReason.NO_TASK, visit)
            if isinstance(answer, Rejection):
                bind(reason=answer.reason)
                tx.count_sighting(answer.reason, population=population, now=visit.now)
            return answer

    def _receive(
        self, tx: Writing, tasks: list[Task], visit: Visit
    ) -> Assignment | Rejection | None:
        """What the tasks say that serve; None when none of them has a round for this device."""
        offers = self._offers(tx, tasks, visit)
        places = tx.places(device_id=visit.device_id, population=visit.population)
        held = self._held(tx, places, visit)
        if held is not None:
            return held
        served = {place.round_id for place in places}
        _require_first(tx, visit)
        if self.headroom.is_low:
            return _rejection(RejectionReason.STORAGE_LOW, STORAGE_LOW_RETRY)
        rejections = []
        for task, round_ in offers:
            given = self._place(tx, task, round_, visit, took_part=round_.id in served)
            if isinstance(given, rounds.Assignment):
                return self._describe(tx, given, task, round_, visit.now)
            rejections.append(self._turn_away(tx, task, round_, given, visit))
        return rejections[0] if rejections else None

    def _held(
        self, tx: Writing, places: list[rounds.Assignment], visit: Visit
    ) -> Assignment | None:
        """The place a device may still deliver to; that of a paused task is one too."""
        for place in places:
            if place.state in rounds.OPEN_STATES and place.ends_at > visit.now:
                round_ = tx.round(place.round_id)
                if round_.keeps_places:
                    task = tx.task(round_.task_id)
                    return self._describe(tx, place, task, round_, visit.now)
        return None

    def _offers(self, tx: Writing, tasks: list[Task], visit: Visit) -> list[Offer]:
        """The rounds a device could serve, the one that wants it most first.

        They are as of now, and locked unless none of them can change. Most devices come to full
        rounds: they only look, so that no crowd waits for a lock.
        """
        if not tx.is_alone:
            seen = _served(tasks, visit, lambda task, kind: tx.current_round(task.id, kind))
            if not any(_may_change(round_, visit.now) for _, round_ in seen):
                return in_fair_order(seen)
            tasks = tx.lock_serving_tasks(visit.population)
        return in_fair_order(
            _served(
                tasks,
                visit,
                lambda task, kind: self.coordinator.current_round(tx, task.id, kind, visit.now),
            )
        )

    def _turn_away(
        self, tx: Writing, task: Task, round_: Round | None, reason: RejectionReason, visit: Visit
    ) -> Rejection:
        window = self.steering.window(tx, task, round_=round_, now=visit.now, reason=reason)
        return _rejection(reason, window)

    def _place(
        self, tx: Writing, task: Task, round_: Round, visit: Visit, *, took_part: bool
    ) -> rounds.Assignment | RejectionReason:
        codec = agreed(task.message.settings.codecs, visit.capabilities.codecs)
        if codec is None or not _has_room(visit.capabilities, task):
            return RejectionReason.NOT_CAPABLE
        if took_part:
            return RejectionReason.ALREADY_TOOK_PART
        taken = tx.take_place(round_.id) if round_.has_places else None
        if taken is None:
            return RejectionReason.ROUND_FULL
        given = rounds.Assignment(
            id=self.entropy(16).hex(),
            round_id=round_.id,
            device_id=visit.device_id,
            base_version=round_.base_version,
            assigned_at=visit.now,
            ends_at=visit.now + task.message.settings.for_kind(round_.kind).compute_timeout_s,
            check_in_key=visit.key_sha256,
            codec=codec,
        )
        tx.add_assignment(given)
        tx.take_turn(task.id)
        self.coordinator.expect(given.ends_at)
        self.coordinator.settle(tx, taken, visit.now)
        return given

    def _describe(
        self, view: Reading, held: rounds.Assignment, task: Task, round_: Round, now: float
    ) -> Assignment:
        message, settings = task.message, task.message.settings
        base = view.the_checkpoint(task.id, held.base_version)
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
            codec=held.codec,
            compute_within_s=0.0 if has_reported else remaining_s,
            upload_within_s=remaining_s if has_reported else settings.upload_timeout_s,
            retry=self.steering.window(view, task, round_=round_, now=now),
        )


def _rejection(reason: RejectionReason, retry: RetryWindow) -> Rejection:
    return Rejection(reason=reason, detail=_DETAILS[reason], retry=retry)


def require_version(version: int) -> None:
    if version != PROTOCOL_VERSION:
        raise UnsupportedVersion(
            f"got protocol version {version}, this server speaks {PROTOCOL_VERSION}; "
            f"update the app or the server"
        )


def _served(
    tasks: list[Task], visit: Visit, round_of: Callable[[Task, RoundKind], Round | None]
) -> list[Offer]:
    """The rounds under way of the kinds that the tasks serve and the device knows."""
    return [
        (task, round_)
        for task in tasks
        for kind in rounds.KINDS_SERVED.get(task.status, ())
        if kind in visit.capabilities.kinds and (round_ := round_of(task, kind))
    ]


def _may_change(round_: Round, now: float) -> bool:
    """Whether a check-in can take a place, or find that time has moved the round on."""
    return round_.has_places or rounds.on_clock(round_, now) != round_


def _require_first(tx: Writing, visit: Visit) -> None:
    """Raises AssignmentExpired for a check-in that was given a place before and comes again."""
    key = visit.key_sha256
    if key and tx.assignment_for(device_id=visit.device_id, check_in_key=key):
        raise AssignmentExpired("what this check-in was given is over; draw a new key")


def _has_room(capabilities: Capabilities, task: Task) -> bool:
    if capabilities.max_bytes is None:
        return True
    length = wire.encoded_bytes(WeightSpec(task.message.spec))
    return capabilities.max_bytes >= task.model_bytes + task.manifest_bytes + length


def _resource(sha256: str, length: int) -> Resource:
    return Resource(url=f"/v1/blobs/{sha256}", sha256=sha256, bytes=length)
