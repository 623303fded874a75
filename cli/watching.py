"""What a simulation makes of its sessions: whether hope is left, and when to look at the task."""

from __future__ import annotations

from collections.abc import Callable

from ..device_sim.sessions import SessionOutcome, SessionRecord
from ..protocol.errors import ConfigError
from ..protocol.plan import RoundKind

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
        """Raises ConfigError with the reason of the last failure once hope is gone."""
        if self.are_gone:
            reason = f"{self._failures} sessions in a row failed, the last because {self._detail}"
            raise ConfigError("task", task, reason)


class Occasions:
    """Says when a look at a task may show something new, for most check-ins change nothing.

    That is when a session in a round has ended, and every ``LOOK_EVERY_S`` of the fleet's clock,
    for a deadline passes at anybody's request.
    """

    def __init__(self) -> None:
        self._is_due = True
        self._looked_at_s = 0.0

    def note(self, record: SessionRecord) -> None:
        self._is_due = self._is_due or record.round > 0

    def take(self, now_s: float) -> bool:
        """Whether to look now; if so, the occasion is used up."""
        is_due = self._is_due or now_s >= self._looked_at_s + LOOK_EVERY_S
        if is_due:
            self._is_due, self._looked_at_s = False, now_s
        return is_due


def each(*notes: Callable[[SessionRecord], None]) -> Callable[[SessionRecord], None]:
    """One observer that tells all."""

    def tell(record: SessionRecord) -> None:
        for note in notes:
            note(record)

    return tell
