"""The funnel: from the check-ins of a population to the updates in a task's checkpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ...protocol.admin import Funnel, FunnelStage, FunnelStep, RoundPhase
from ...protocol.errors import PocketFedError, ProtocolError, RoundError
from ...protocol.messages import AssignmentState
from ...protocol.plan import RoundKind
from ..operating.tasks import named
from ..states import rounds
from ..store import Course, Store
from ..trust.limits import HOUR_S

REFUSED = "refused:"
_OF_EVALUATION = (FunnelStage.ASSIGNED, FunnelStage.REPORTED, FunnelStage.FOLDED)


@dataclass(frozen=True, kw_only=True)
class Funnels:
    """Counts what leaves no row of its own, and reads all of it back."""

    store: Store
    clock: Callable[[], float]

    def refuse(self, device_id: str, assignment_id: str, error: PocketFedError) -> None:
        """Counts an upload that was refused for what it was; a stranger's is not counted."""
        if not isinstance(error, ProtocolError | RoundError):
            return
        with self.store.write() as tx:
            held = tx.assignment(assignment_id)
            if held is None or held.device_id != device_id:
                return
            task = tx.task(tx.round(held.round_id).task_id).message
            tx.count_sighting(
                REFUSED + error.code, population=task.population, task=task.name, now=self.clock()
            )

    def of(self, name: str, *, window_s: float | None) -> Funnel:
        """The funnel of a task over the whole hours that ``window_s`` reaches into, or over all."""
        now = self.clock()
        since = 0.0 if window_s is None else (now - window_s) // HOUR_S * HOUR_S
        with self.store.read() as view:
            task = named(view, name)
            population = task.message.population
            rejections = view.sightings(population=population, since=since)
            refusals = view.sightings(population=population, task=name, since=since)
            courses = view.courses(task_id=task.id, since=since)
        return Funnel(
            task=name,
            population=population,
            since=since,
            until=now,
            steps=tuple(steps(courses, rejections)),
            evaluation_steps=tuple(evaluation_steps(courses)),
            refused={code.removeprefix(REFUSED): count for code, count in refusals.items()},
        )


def steps(courses: Iterable[Course], rejections: Mapping[str, int]) -> list[FunnelStep]:
    """Where the places to train stand, as steps of which each follows from the one before."""
    counts = _counted(course for course in courses if course.kind is RoundKind.TRAIN)
    counts.lost[FunnelStage.CHECKED_IN].update(rejections)
    counts.last[FunnelStage.CHECKED_IN] = sum(rejections.values())
    return counts.steps(tuple(FunnelStage))


def evaluation_steps(courses: Iterable[Course]) -> list[FunnelStep]:
    """The same for the places to measure, if any were given: their report is all that is sent."""
    found = [course for course in courses if course.kind is RoundKind.EVALUATE]
    return _counted(found).steps(_OF_EVALUATION) if found else []


@dataclass(frozen=True)
class _Counts:
    """Devices by the last step they have reached, and those that stay there."""

    last: Counter[FunnelStage]
    waiting: Counter[FunnelStage]
    lost: Mapping[FunnelStage, Counter[str]]

    def steps(self, stages: tuple[FunnelStage, ...]) -> list[FunnelStep]:
        found: list[FunnelStep] = []
        reached = 0
        for stage in reversed(stages):
            reached += self.last[stage]
            waiting, lost = self.waiting[stage], dict(self.lost[stage])
            found.append(FunnelStep(stage=stage, reached=reached, waiting=waiting, lost=lost))
        return found[::-1]


def _counted(courses: Iterable[Course]) -> _Counts:
    counts = _Counts(Counter(), Counter(), {stage: Counter() for stage in FunnelStage})
    for course in courses:
        stage, loss = _stage(course), _loss(course)
        counts.last[stage] += course.devices
        if loss is not None:
            counts.lost[stage][loss] += course.devices
        elif stage is not FunnelStage.FOLDED:
            counts.waiting[stage] += course.devices
    return counts


def _stage(course: Course) -> FunnelStage:
    """The last step that these devices have reached."""
    if course.state is AssignmentState.FOLDED:
        return FunnelStage.FOLDED
    if course.state is AssignmentState.UPLOADED:
        return FunnelStage.UPLOADED
    is_announced = course.has_reported and course.state is not AssignmentState.FAILED
    return FunnelStage.REPORTED if is_announced else FunnelStage.ASSIGNED


def _loss(course: Course) -> str | None:
    """Why these devices go no further; None while they may."""
    if course.state in (AssignmentState.FAILED, AssignmentState.LATE):
        return course.reason or course.state.value
    if course.state in (AssignmentState.UPLOADED, AssignmentState.MEASURED):
        return "round_abandoned" if course.phase == RoundPhase.ABANDONED else None
    if course.state in rounds.OPEN_STATES:
        return "round_closed" if course.phase in rounds.FINAL_PHASES else None
    return None if course.state is AssignmentState.FOLDED else course.state.value
