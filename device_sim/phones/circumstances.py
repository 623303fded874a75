"""Circumstances: one phone's conditions, read at the instant it is and in the place it has."""

from __future__ import annotations

from collections.abc import Callable

from ...protocol.errors import NoAnswer
from ...protocol.messages import Assignment, UploadInstruction
from ..conditions import PhoneConditions, Place
from ..conditions.mischief import Mischief
from ..conditions.needs import Need, needs_of
from ..conditions.network import Way
from ..conditions.silence import Point


class Circumstances:
    """What befalls a phone; every answer follows from its conditions and the fleet's clock."""

    def __init__(self, conditions: PhoneConditions, clock: Callable[[], float]) -> None:
        self._conditions = conditions
        self._clock = clock
        self._session: tuple[Place, Point | None] | None = None

    def missing(self, assignment: Assignment | None) -> Need:
        """What the phone needs to go on, and lacks now."""
        return self._conditions.lacking(self._clock(), self._needs(assignment))

    def due_s(self, assignment: Assignment | None, wait_s: float) -> float:
        """When to wake after a wait: between sessions no sooner than the phone is eligible.

        Within a session no later than the instant at which it no longer is.
        """
        now_s, conditions = self._clock(), self._conditions
        if assignment is None:
            return conditions.next_wake_s(now_s + conditions.timer_s(wait_s))
        needs = self._needs(assignment)
        return conditions.held_until_s(now_s, needs=needs, horizon_s=now_s + wait_s)

    def falls_silent(self, assignment: Assignment, *points: Point) -> bool:
        """Whether this session ends without a word at one of these points."""
        return self._silent_at(Place.of(assignment)) in points

    def breaks_off(self, assignment: Assignment, way: Way, *, tries: int) -> bool:
        """Whether a transfer ends in the middle, after ``tries`` that did."""
        return self._conditions.network.breaks_off(way, Place.of(assignment), tries=tries)

    def require_link(self, assignment: Assignment, way: Way, *, tries: int) -> None:
        """Raises NoAnswer when the transfer breaks off."""
        if self.breaks_off(assignment, way, tries=tries):
            raise NoAnswer("the connection was lost in the middle of a transfer")

    def compute_s(self, assignment: Assignment, steps: int) -> float:
        """How long the work of an assignment takes that begins now."""
        return self._conditions.compute_s(
            steps,
            batch_size=assignment.plan.batch_size,
            place=Place.of(assignment),
            now_s=self._clock(),
        )

    def download_s(self, assignment: Assignment, size_bytes: int) -> float:
        return self._conditions.download_s(size_bytes, place=Place.of(assignment))

    def upload_s(
        self, assignment: Assignment, size_bytes: int, instruction: UploadInstruction
    ) -> float:
        """How long until the body is there; a phone that dawdles is twice too late."""
        delay_s = 0.0
        if self._conditions.mischief is Mischief.LATE:
            delay_s = 2 * instruction.upload_within_s
        return delay_s + self._conditions.upload_s(size_bytes, place=Place.of(assignment))

    def _silent_at(self, place: Place) -> Point | None:
        """Drawn once for all points of a session."""
        if self._session is None or self._session[0] != place:
            self._session = place, self._conditions.silent_at(place)
        return self._session[1]

    def _needs(self, assignment: Assignment | None) -> Need:
        """What the app waits for and, within a session, what the plan asks beside it."""
        needs = self._conditions.wakes_with
        return needs if assignment is None else needs | needs_of(assignment.plan.eligibility)
