"""What must be true of a server's tables and blobs, whatever has happened to it.

Each invariant is a function over the evidence that yields one verdict for each thing it looks at:
None, or a sentence that says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from ...protocol import wire
from ...protocol.admin import RoundPhase
from ...protocol.errors import LostBlob, ProtocolError
from ...protocol.messages import AssignmentState
from ...protocol.weights import Weights, WeightSpec
from ..blobs import Blobs
from ..folding.fold import basis_of, fold, intact
from ..folding.optimizers import encode_state, optimizer_of
from ..folding.workers import Workers
from ..states.rounds import FINAL_PHASES, Round
from ..store import Accepted, Checkpoint, Life, Reading, Task

# A coordinator may be busy with a sum when updates are due to go.
GRACE_S = 60.0
GRAPHS: dict[str, dict[str, set[str]]] = {
    "task": {
        "": {"running"},
        "running": {"paused", "stopped", "finished"},
        "paused": {"running", "stopped", "finished"},
    },
    "round": {
        "": {"selecting"},
        "selecting": {"reporting", "abandoned"},
        "reporting": {"aggregating", "abandoned"},
        "aggregating": {"committed", "abandoned"},
    },
    "assignment": {
        "": {"assigned"},
        "assigned": {"reported", "measured", "failed", "expired", "aborted", "late"},
        "reported": {"uploaded", "expired", "aborted", "late"},
        "uploaded": {"folded"},
        "measured": {"folded"},
    },
}

Verdicts = Iterator[str | None]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All there is to look at; ``keep_updates_s`` is the setting the server ran with."""

    view: Reading
    blobs: Blobs
    workers: Workers
    keep_updates_s: float

    def rounds(self) -> Iterator[Round]:
        for task in self.view.tasks():
            yield from self.view.rounds(task.id)

    def made(self) -> Iterator[tuple[Task, Checkpoint, Checkpoint]]:
        """(task, base, checkpoint) of every checkpoint that was made here of another."""
        for task in self.view.tasks():
            found = self.view.checkpoints(task.id)
            by_version = {one.version: one for one in found}
            for checkpoint in found:
                base = None if checkpoint.parent is None else by_version.get(checkpoint.parent)
                if base is not None and checkpoint.rolled_back_from is None:
                    yield task, base, checkpoint


class Invariant(NamedTuple):
    """``letter`` names it in docs/server.md; ``looked_at`` is what its verdicts are about."""

    letter: str
    claim: str
    looked_at: str
    verdicts: Callable[[Evidence], Verdicts]


def one_update_per_device(evidence: Evidence) -> Verdicts:
    for round_ in evidence.rounds():
        seen: set[str] = set()
        for update in evidence.view.accepted(round_.id):
            name = f"update {update.assignment_id} of round {round_.id}"
            place = (update.assigned_round_id, update.assigned_device_id)
            if update.assigned_device_id in seen or update.device_id in seen:
                yield f"{name} is a second one of the device {update.device_id}"
            elif place != (update.round_id, update.device_id):
                yield f"{name} came through a place of device {place[1]} in round {place[0]}"
            else:
                yield None
            seen |= {update.device_id, update.assigned_device_id}


def checkpoints_are_kept(evidence: Evidence) -> Verdicts:
    for task in evidence.view.tasks():
        for checkpoint in evidence.view.checkpoints(task.id):
            for sha256 in filter(None, (checkpoint.sha256, checkpoint.state_sha256)):
                lost = _lost(evidence, sha256)
                yield f"{_name(task, checkpoint)}: {lost}" if lost else None


def checkpoints_are_recomputed(evidence: Evidence) -> Verdicts:
    for task, base, checkpoint in evidence.made():
        manifest = evidence.view.contributions(checkpoint.id)
        stored = evidence.view.stored_updates([one.assignment_id for one in manifest])
        if len(stored) == len(manifest):
            wrong = _recompute(evidence, task, base, checkpoint)
            yield f"{_name(task, checkpoint)} {wrong}" if wrong else None


def acknowledged_updates_count(evidence: Evidence) -> Verdicts:
    for assignment_id in evidence.view.acknowledged_without_update():
        yield f"the acknowledged update of the assignment {assignment_id} is nowhere"
    for round_ in evidence.rounds():
        accepted = evidence.view.accepted(round_.id)
        if len(accepted) != round_.accepted:
            yield f"round {round_.id} counts {round_.accepted} updates and has {len(accepted)}"
        for update in accepted:
            wrong = _fate(evidence, round_, update)
            yield f"update {update.assignment_id} {wrong}" if wrong else None


def versions_increase(evidence: Evidence) -> Verdicts:
    for task in evidence.view.tasks():
        committed = [
            one.base_version + 1
            for one in evidence.view.rounds(task.id)
            if one.phase is RoundPhase.COMMITTED
        ]
        for expected, checkpoint in enumerate(evidence.view.checkpoints(task.id)):
            name = _name(task, checkpoint)
            made_by = committed.count(checkpoint.version)
            if checkpoint.version != expected:
                yield f"{name} stands where version {expected} should"
            elif made_by != (0 if expected == 0 or checkpoint.rolled_back_from is not None else 1):
                yield f"{name} was committed by {made_by} rounds"
            else:
                yield None
        for version in set(committed) - {one.version for one in evidence.view.checkpoints(task.id)}:
            yield f"a round of {task.message.name} committed version {version}, which is nowhere"


def transitions_are_on_the_graph(evidence: Evidence) -> Verdicts:
    for life in evidence.view.lives():
        wrong = _wrong_turn(life)
        yield f"{life.entity} {life.entity_id} {wrong}" if wrong else None


def weights_add_up(evidence: Evidence) -> Verdicts:
    rounds = {(one.task_id, one.base_version + 1): one for one in evidence.rounds() if _made(one)}
    for task, _, checkpoint in evidence.made():
        round_ = rounds.get((task.id, checkpoint.version))
        accepted = evidence.view.accepted(round_.id) if round_ else []
        reported = sum(one.report.num_examples for one in accepted if one.report)
        divisor = sum(one.num_examples for one in evidence.view.contributions(checkpoint.id))
        if divisor == reported:
            yield None
        else:
            yield f"{_name(task, checkpoint)} has weights of {divisor}, reported were {reported}"


def staleness_is_that_of_the_place(evidence: Evidence) -> Verdicts:
    folded = {
        one.assignment_id: one.staleness
        for _, _, checkpoint in evidence.made()
        for one in evidence.view.contributions(checkpoint.id)
    }
    for round_ in evidence.rounds():
        for update in evidence.view.accepted(round_.id):
            behind = round_.base_version - update.base_version
            counted = {update.staleness, folded.get(update.assignment_id, update.staleness)}
            name = f"update {update.assignment_id} of round {round_.id}"
            if counted != {behind}:
                yield f"{name} counts as {sorted(counted)} versions behind, it is {behind}"
            elif not 0 <= behind <= (round_.max_staleness or 0):
                yield f"{name} is {behind} versions behind, which is too far"
            else:
                yield None


def blobs_end_with_their_round(evidence: Evidence) -> Verdicts:
    needed = evidence.view.needed_blobs()
    for name in evidence.blobs.names(older_than_s=0.0):
        # What nothing has ever referred to arrived before a crash; the next start removes it.
        has_outlived = name not in needed and evidence.view.was_update(name)
        yield f"the blob {name} was an update that is no longer kept" if has_outlived else None
    closed_by = evidence.view.last_event_at() - evidence.keep_updates_s - GRACE_S
    for round_ in evidence.rounds():
        if round_.closed_at is not None and round_.closed_at <= closed_by:
            left = [one for one in evidence.view.accepted(round_.id) if one.is_stored]
            yield f"round {round_.id} still keeps {len(left)} updates" if left else None


def nothing_comes_late(evidence: Evidence) -> Verdicts:
    """Instants prove nothing of a round in whose time the server's clock was set back."""
    ended, set_back = {}, set()
    for life in evidence.view.lives():
        if any(later.at < sooner.at for sooner, later in pairwise(life.transitions)):
            set_back.add((life.entity, life.entity_id))
        if life.entity == "round":
            ends = (one.at for one in life.transitions if one.state in _ENDS)
            ended[int(life.entity_id)] = min(ends, default=float("inf"))
    for round_ in (one for one in evidence.rounds() if ("round", str(one.id)) not in set_back):
        end = ended[round_.id]
        last_place_at = evidence.view.latest_assignment_at(round_.id)
        if last_place_at is not None and last_place_at > end:
            yield f"round {round_.id} gave a place at {last_place_at}, after its end at {end}"
        for update in evidence.view.accepted(round_.id):
            closes_at = None if round_.is_buffer else round_.report_ends_at
            deadline = min(end, update.ends_at, closes_at or float("inf"))
            is_dated = ("assignment", update.assignment_id) not in set_back
            is_late = is_dated and update.accepted_at > deadline
            name = f"update {update.assignment_id} of round {round_.id}"
            yield f"{name} came at {update.accepted_at}, after {deadline}" if is_late else None


INVARIANTS = (
    Invariant("a", "one update per round and device", "updates", one_update_per_device),
    Invariant("b", "checkpoints are kept as they were", "blobs", checkpoints_are_kept),
    Invariant("b", "checkpoints equal their recomputation", "rounds", checkpoints_are_recomputed),
    Invariant("c", "what was acknowledged counts", "updates", acknowledged_updates_count),
    Invariant("d", "versions increase, one round each", "checkpoints", versions_increase),
    Invariant("e", "transitions are on the graph", "histories", transitions_are_on_the_graph),
    Invariant("f", "weights add up to the divisor", "checkpoints", weights_add_up),
    Invariant("f", "staleness is as told", "updates", staleness_is_that_of_the_place),
    Invariant("h", "no update outlives its time", "blobs, rounds", blobs_end_with_their_round),
    Invariant("i", "nothing comes after the deadline", "updates", nothing_comes_late),
)
_ENDS = {RoundPhase.AGGREGATING, RoundPhase.ABANDONED}


def _recompute(
    evidence: Evidence, task: Task, base: Checkpoint, checkpoint: Checkpoint
) -> str | None:
    """What is wrong with a checkpoint, found by making it again."""
    read, message = evidence.blobs.read, task.message
    try:
        basis = basis_of(message, base, read=read)
        manifest = evidence.view.contributions(checkpoint.id)
        folded = fold(message, basis, manifest, read=read, workers=evidence.workers)
    except (LostBlob, ProtocolError) as error:
        return f"cannot be recomputed: {error}"
    body = wire.encode(Weights(WeightSpec(message.spec), folded.vector))
    optimizer = optimizer_of(message.settings.server_optimizer)
    state = wire.sha256(encode_state(folded.state, optimizer)) if folded.state else None
    if wire.sha256(body) != checkpoint.sha256:
        return f"comes out as {wire.sha256(body)} from its manifest"
    if state != checkpoint.state_sha256:
        return f"has the state {checkpoint.state_sha256}, which comes out as {state}"
    return None


def _fate(evidence: Evidence, round_: Round, update: Accepted) -> str | None:
    """What is wrong with how an acknowledged update ended."""
    manifests = len(evidence.view.manifests_of(update.assignment_id))
    is_folded = round_.phase is RoundPhase.COMMITTED
    if manifests != int(is_folded):
        return f"is in {manifests} manifests, its round {round_.id} is {round_.phase}"
    state = AssignmentState.FOLDED if is_folded else AssignmentState.UPLOADED
    if update.state is not state:
        return f"is of an assignment that is {update.state}, expected {state}"
    if round_.phase is RoundPhase.ABANDONED and not round_.reason:
        return f"went with round {round_.id}, which was abandoned without a reason"
    if round_.phase not in FINAL_PHASES:
        return _lost(evidence, update.sha256) if update.is_stored else "was released too early"
    return None


def _wrong_turn(life: Life) -> str | None:
    """The first thing in a history that cannot have happened."""
    before = ""
    for expected, transition in enumerate(life.transitions, start=1):
        if transition.seq != expected:
            return f"lacks its transition {expected}"
        if transition.state not in GRAPHS[life.entity].get(before, set()):
            return f"went from {before or 'nothing'} to {transition.state}"
        before = transition.state
    return None if before == life.state else f"is {life.state}, its history ends at {before}"


def _lost(evidence: Evidence, sha256: str) -> str | None:
    try:
        intact(evidence.blobs.read, sha256)
    except LostBlob as error:
        return str(error)
    return None


def _made(round_: Round) -> bool:
    return round_.phase is RoundPhase.COMMITTED


def _name(task: Task, checkpoint: Checkpoint) -> str:
    return f"checkpoint {checkpoint.version} of {task.message.name}"
