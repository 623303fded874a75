"""What a simulation makes of its sessions: whether hope is left, and when to look at the task."""

from __future__ import annotations

import math
from collections.abc import Callable

from ...device_sim.phones.sessions import SessionOutcome, SessionRecord
from ...protocol.admin import TaskList
from ...protocol.errors import HopelessRun
from ...protocol.plan import RoundKind

HOPELESS = 50
LOOK_EVERY_S = 60.0


class Hopes:
    """Counts sessions that fail in a row; a run of nothing else cannot reach its goal."""

    def __init__(self) -> None:
        self._failures = 0
        self._detail = ""

    def note(self, record: SessionRecord) -> None:
        if self.are_gone or record.kind is not RoundKind.TRAIN:
            return
        if record.outcome in (SessionOutcome.FAILED, SessionOutcome.REFUSED):
            self._failures += 1
            self._detail = record.detail
        elif record.outcome is SessionOutcome.ACCEPTED:
            self._failures = 0

    @property
    def are_gone(self) -> bool:
        return self._failures >= HOPELESS

    def require(self, task: str) -> None:
        """Raises HopelessRun with the reason of the last failure once hope is gone."""
        if self.are_gone:
            reason = f"{self._failures} sessions in a row failed, the last because {self._detail}"
            raise HopelessRun("task", task, reason)


class Lookout:
    """Says when a task has something new to show, and asks for little to know it.

    A round ends with the last of ``goal`` updates, or at a deadline, which passes at anybody's
    request. So the task is looked at when as many sessions have ended in which an update may have
    counted, when a phone has measured, and every ``LOOK_EVERY_S`` of the fleet's clock.
    """

    def __init__(self, ask: Callable[[], TaskList], *, task: str, goal: int) -> None:
        self._ask, self._task, self._goal = ask, task, goal
        self._may_count = 0
        self._measured = 0
        self._looked_at_s = -math.inf
        self._known: tuple[object, ...] | None = None

    def note(self, record: SessionRecord) -> None:
        if record.kind is RoundKind.EVALUATE:
            self._measured += 1
        elif "+" in record.shape:  # also of a phone that fell silent before it was thanked
            self._may_count += 1

    def has_news(self, now_s: float) -> bool:
        """Whether the status, the newest version or what phones measured has changed."""
        if not self._is_due(now_s):
            return False
        self._looked_at_s = now_s
        seen = self._seen()
        if seen == self._known:
            return False
        self._known, self._may_count = seen, 0
        return True

    def _is_due(self, now_s: float) -> bool:
        has_measured = self._known is not None and self._known[-1] != self._measured
        is_late = now_s >= self._looked_at_s + LOOK_EVERY_S
        return self._may_count >= self._goal or has_measured or is_late

    def _seen(self) -> tuple[object, ...]:
        found = next(one for one in self._ask().tasks if one.name == self._task)
        return found.status, found.checkpoint.version, self._measured


def each(*notes: Callable[[SessionRecord], None]) -> Callable[[SessionRecord], None]:
    """One observer that tells all."""

    def tell(record: SessionRecord) -> None:
        for note in notes:
            note(record)

    return tell


def ignored(record: SessionRecord) -> None:
    """An observer that looks away."""
