"""Needs: what must hold for a phone to take part, and the stretches of time in which it holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Flag, auto
from functools import reduce
from operator import or_
from typing import Protocol

from ...protocol.plan import Eligibility


class Need(Flag):
    """One thing that holds or does not; a phone that lacks nothing is eligible."""

    CHARGING = auto()
    IDLE = auto()
    UNMETERED = auto()
    BATTERY_NOT_LOW = auto()
    NOT_HOT = auto()


NOTHING = Need(0)
EVERYTHING = reduce(or_, Need)
# What a phone asks of itself, whatever a plan says.
OF_ITSELF = Need.BATTERY_NOT_LOW | Need.NOT_HOT


def chosen_of(needs: Sequence[Need], bits: int) -> Need:
    """The needs whose bit is set, the lowest bit for the first."""
    return reduce(or_, (need for place, need in enumerate(needs) if bits >> place & 1), NOTHING)


def needs_of(eligibility: Eligibility) -> Need:
    """What a plan asks of a phone's state, and what the phone asks of itself."""
    asked = {
        Need.CHARGING: eligibility.charging,
        Need.IDLE: eligibility.idle,
        Need.UNMETERED: eligibility.unmetered,
    }
    return reduce(or_, (need for need, is_asked in asked.items() if is_asked), OF_ITSELF)


def names_of(needs: Need) -> str:
    """The needs in words, for a sentence."""
    return ", ".join(str(need.name).lower().replace("_", " ") for need in needs)


@dataclass(frozen=True)
class Stretch:
    """From ``begins_s`` on, until just before ``ends_s``, exactly the ``lacking`` needs fail.

    Training takes ``slowdown`` times as long then.
    """

    begins_s: float
    ends_s: float
    lacking: Need = NOTHING
    slowdown: float = 1.0


class Presence(Protocol):
    """One phone's stretches, without holes, from the instant 0 on; the same whenever asked."""

    def at(self, now_s: float) -> Stretch:
        """The stretch that ``now_s`` lies in."""
        ...


def next_instant(presence: Presence, now_s: float, *, needs: Need = EVERYTHING) -> float:
    """The first instant, ``now_s`` included, at which the needs hold; infinity if none comes."""
    while math.isfinite(now_s):
        stretch = presence.at(now_s)
        if not stretch.lacking & needs:
            return now_s
        now_s = stretch.ends_s
    return now_s


def held_until(presence: Presence, now_s: float, *, needs: Need, horizon_s: float) -> float:
    """The first instant from ``now_s`` on at which a need fails; at most ``horizon_s``."""
    while now_s < horizon_s:
        stretch = presence.at(now_s)
        if stretch.lacking & needs:
            return now_s
        now_s = stretch.ends_s
    return horizon_s
