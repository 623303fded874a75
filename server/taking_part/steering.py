"""Steering: the retry window of each answer, from what the tables say of a task's devices."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...protocol.messages import RejectionReason
from ...protocol.plan import RetryWindow
from ..states.rounds import Round
from ..store import Reading, Task
from . import pacing

ESTIMATE_TTL_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What was measured of a task, ``at`` an instant: of its devices and of its last rounds."""

    at: float
    devices: int
    device_s: float
    round_s: float


@dataclass(frozen=True)
class Steering:
    """Paces the devices of all tasks; what it measures serves for a minute."""

    _estimates: dict[int, Estimate] = field(default_factory=dict)

    def window(
        self,
        view: Reading,
        task: Task,
        *,
        now: float,
        round_: Round | None = None,
        reason: RejectionReason | None = None,
    ) -> RetryWindow:
        """The task's own window, or else one that fits how many devices there are."""
        settings = task.message.settings
        if settings.retry is not None:
            return settings.retry
        known = self._estimate(view, task, now)
        opened_at = now if round_ is None else round_.opened_at
        demand = pacing.Demand(
            devices=known.devices,
            places=settings.places,
            period_s=known.device_s,
            opens_in_s=opened_at + known.round_s - now,
            selection_timeout_s=settings.selection_timeout_s,
        )
        return pacing.window(demand, reason)

    def _estimate(self, view: Reading, task: Task, now: float) -> Estimate:
        known = self._estimates.get(task.id)
        if known is None or not 0 <= now - known.at < ESTIMATE_TTL_S:
            known = _measure(view, task, now)
            self._estimates[task.id] = known
        return known


def _measure(view: Reading, task: Task, now: float) -> Estimate:
    """A round cannot be faster than its devices: nine in ten of the last updates set the pace."""
    times_s = sorted(view.device_times(task.id))
    device_s = max(pacing.SHORTEST_S, times_s[len(times_s) * 9 // 10] if times_s else 0.0)
    rounds_s = view.round_times(task.id)
    return Estimate(
        at=now,
        devices=view.devices_seen(task.message.population, since=now - pacing.DAY_S),
        device_s=device_s,
        round_s=sum(rounds_s) / len(rounds_s) if rounds_s else device_s,
    )
