"""Battery and heat: what keeps a phone from training, or slows it, although it is left alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .needs import Need, Stretch


@dataclass(frozen=True)
class Battery:
    """A phone is plugged in at a uniform level and charges at a constant rate.

    It takes part once its battery is not low: Android calls it low at 15 % and no longer at 20 %
    (AOSP, ``config_lowBatteryWarningLevel`` 15 and ``config_lowBatteryCloseWarningBump`` 5), and
    WorkManager's ``setRequiresBatteryNotLow`` waits for that. Levels and rate are assumed.
    """

    least_level: float = 0.05
    most_level: float = 0.95
    charged_per_h: float = 0.5
    enough: float = 0.20

    def wait_s(self, drawn: float) -> float:
        """How long charging takes until the level, drawn in [0, 1), is enough."""
        level = self.least_level + drawn * (self.most_level - self.least_level)
        return max(0.0, self.enough - level) / self.charged_per_h * 3600.0


@dataclass(frozen=True)
class Heat:
    """How warm a charging phone is while it trains, in degrees Celsius: normal, drawn per stretch.

    Above ``throttled_from_c`` it slows down, in a straight line to ``slowest`` at ``limit_c``.
    Above that it does not train, as Android's JobScheduler runs no such job on a phone with a
    thermal warning (AOSP, ``ThermalStatusRestriction``). All numbers are assumed; makers set
    their own.
    """

    working_c_mean: float = 37.0
    working_c_sd: float = 4.0
    throttled_from_c: float = 38.0
    limit_c: float = 45.0
    slowest: float = 2.0

    def slowdown(self, working_c: float) -> float:
        """By how much training takes longer at this temperature; 1 when it does not."""
        span = self.limit_c - self.throttled_from_c
        above = min(max(0.0, working_c - self.throttled_from_c), span)
        return 1 + (self.slowest - 1) * above / span


def as_charged_and_warm(
    stretches: Iterable[Stretch],
    *,
    battery: Battery | None,
    heat: Heat | None,
    rng: np.random.Generator,
) -> Iterator[Stretch]:
    """Adds to stretches what battery and heat lack in them; two numbers are drawn for each."""
    for stretch in stretches:
        level, warmth = rng.random(), rng.standard_normal()
        if Need.CHARGING in stretch.lacking:
            yield stretch
            continue
        warm = stretch if heat is None else _warm(stretch, heat, warmth)
        wait_s = 0.0 if battery is None else battery.wait_s(level)
        yield from _charged(warm, stretch.begins_s + wait_s)


def _warm(stretch: Stretch, heat: Heat, warmth: float) -> Stretch:
    working_c = heat.working_c_mean + heat.working_c_sd * warmth
    lacking = stretch.lacking | Need.NOT_HOT if working_c > heat.limit_c else stretch.lacking
    return replace(stretch, lacking=lacking, slowdown=heat.slowdown(working_c))


def _charged(stretch: Stretch, enough_s: float) -> Iterator[Stretch]:
    enough_s = min(enough_s, stretch.ends_s)
    if enough_s > stretch.begins_s:
        lacking = stretch.lacking | Need.BATTERY_NOT_LOW
        yield replace(stretch, ends_s=enough_s, lacking=lacking)
    if enough_s < stretch.ends_s:
        yield replace(stretch, begins_s=enough_s)
