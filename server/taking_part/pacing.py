"""Pacing: when a device should come back, so that rounds fill quickly and few devices come in vain.

After Bonawitz et al. 2019 (arXiv 1902.01046, section 2.3, "Pace steering"), which gives no formula.
A large population is spread so thinly that about as many devices come per round as it has places; a
small one is asked back together, just as the next round opens.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...protocol.messages import RejectionReason
from ...protocol.plan import RetryWindow

DAY_S = 24 * 3600.0
SHORTEST_S = 60.0
# Nothing to do, or nothing this device can do, until somebody changes something.
LONG = RetryWindow(min_s=DAY_S, max_s=2 * DAY_S)
_LONG_REASONS = frozenset({RejectionReason.NO_TASK, RejectionReason.NOT_CAPABLE})
# From this many devices per place on a population is spread.
_CROWD = 2


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a task asks of its population.

    ``devices`` were seen within a day, ``places`` are given per round, ``period_s`` passes between
    the openings of two rounds, the next of which is expected in ``opens_in_s``.
    """

    devices: int
    places: int
    period_s: float
    opens_in_s: float
    selection_timeout_s: float


def window(demand: Demand, reason: RejectionReason | None = None) -> RetryWindow:
    """When to come back after a rejection, or after having served (``reason`` None)."""
    if reason in _LONG_REASONS:
        return LONG
    if demand.devices > _CROWD * demand.places:
        return _spread(demand.period_s * demand.devices / demand.places)
    return _rendezvous(demand)


def _spread(mean_s: float) -> RetryWindow:
    return RetryWindow(min_s=_bounded(0.5 * mean_s), max_s=_bounded(1.5 * mean_s))


def _rendezvous(demand: Demand) -> RetryWindow:
    opens_in_s = _bounded(demand.opens_in_s)
    width_s = min(demand.period_s / 10, demand.selection_timeout_s / 2)
    return RetryWindow(min_s=opens_in_s, max_s=opens_in_s + width_s)


def _bounded(wait_s: float) -> float:
    return min(max(wait_s, SHORTEST_S), DAY_S)
