"""Availability: when a phone is eligible, by day and by night.

The share of phones that are idle, charging and on an unmetered network swings fourfold between day
and night (Bonawitz et al. 2019, arXiv 1902.01046, section 9); how long a phone then stays so is
log-normal. Both hold exactly, for each phone and at each hour, because the rate at which stretches
begin follows from them: if stretches of a random length L begin at the rate r(t), the share that is
eligible is p(t) = integral of r(t - u) P(L > u) du. p is a constant and one wave of 24 hours, hence
r is one too; its wave is higher and comes earlier, as much as the lengths flatten and delay it.
"""

from __future__ import annotations

import cmath
import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np

from ...protocol.errors import ConfigError
from ..streams import Purpose, stream
from .battery_and_heat import Battery, Heat, as_charged_and_warm
from .needs import NOTHING, Need, Presence, Stretch, chosen_of

HOUR_S = 3600.0
_DAY_H = 24.0
_OMEGA = 2 * math.pi / _DAY_H
# A history is drawn in pieces, so that any instant is found without replaying from zero.
PIECE_H = 14 * _DAY_H
MOST_SHARE = 0.95
# What a phone that is not eligible lacks. All alike: nothing published says which is how frequent.
_LACKS = [chosen_of((Need.CHARGING, Need.IDLE, Need.UNMETERED), bits) for bits in range(1, 8)]


class Availability(Protocol):
    """When the phones of a fleet are there."""

    def of_phone(self, *, seed: int, device: int) -> Presence:
        """One phone's comings and goings."""
        ...


@dataclass(frozen=True)
class AlwaysThere:
    """Every phone is eligible at every instant."""

    def of_phone(self, *, seed: int, device: int) -> Presence:
        return self

    def at(self, now_s: float) -> Stretch:
        return _ALWAYS


_ALWAYS = Stretch(0.0, math.inf)


@dataclass(frozen=True)
class DayAndNight:
    """Eligible is a share q (1 + swing cos(2 pi (h - peak_hour) / 24)) / (1 + swing).

    h is its local hour; instant 0 is midnight in time zone 0, and each phone lives in one of
    ``zones_h``, hours ahead of it, each as likely. q, its share at the best hour, is log-normal
    of this mean and sigma, 0.95 at most. The defaults: a fourfold swing (Bonawitz et al. 2019,
    section 9, who see it in a population of mostly one time zone, with its peak at night); a
    mean share of 0.25 over the day, assumed (second-hand reports of production range from 0.15
    to 0.5); stretches with a median of 7 h (the one phone that REFL's code quotes from
    FedScale's trace, arXiv 2105.11367: 8 stretches of 1 to 15 h). Sigma 0.5 is assumed, as is
    the spread of q; so deep a swing admits 0.55 at most.
    Without ``battery`` and ``heat`` neither keeps a phone from anything.

    Raises ConfigError for numbers that no history can have.
    """

    share_mean: float = 0.4
    share_sigma: float = 0.5
    swing: float = 0.6
    peak_hour: float = 3.0
    session_h_median: float = 7.0
    session_h_sigma: float = 0.5
    zones_h: tuple[float, ...] = (0.0,)
    battery: Battery | None = None
    heat: Heat | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share_mean < 1:
            raise ConfigError("share_mean", self.share_mean, "give a share between 0 and 1")
        if not self.zones_h:
            raise ConfigError("zones_h", self.zones_h, "name one time zone at least, in hours")
        if self.starts.swing > 1:
            most = self.swing / self.starts.swing
            reason = f"stretches this long cannot follow it; {most:.2f} is the most"
            raise ConfigError("swing", self.swing, reason)

    def of_phone(self, *, seed: int, device: int) -> Habits:
        """Draws one phone's habits for life."""
        rng = stream(seed, Purpose.HABITS, device)
        mu = math.log(self.share_mean) - self.share_sigma**2 / 2
        return Habits(
            model=self,
            seed=seed,
            device=device,
            share=min(MOST_SHARE, float(rng.lognormal(mu, self.share_sigma))),
            zone_h=self.zones_h[int(rng.integers(len(self.zones_h)))],
            begun_h=-PIECE_H * float(rng.random()),
        )

    @cached_property
    def day(self) -> Wave:
        """How often phones are eligible, relative to the mean, over the local hour."""
        return Wave(self.swing, self.peak_hour)

    @cached_property
    def starts(self) -> Wave:
        """The rate at which stretches begin, relative to its mean, over the local hour."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(120)
        lengths = self.session_h_median * np.exp(self.session_h_sigma * nodes)
        turned = complex(np.sum(weights * np.exp(-1j * _OMEGA * lengths)) / weights.sum())
        kept = (1 - turned) / (1j * _OMEGA * self.session_h_mean)
        return Wave(self.swing / abs(kept), self.peak_hour + cmath.phase(kept) / _OMEGA)

    @property
    def session_h_mean(self) -> float:
        return self.session_h_median * math.exp(self.session_h_sigma**2 / 2)


@dataclass(frozen=True)
class Wave:
    """1 + swing cos(2 pi (h - peak) / 24)."""

    swing: float
    peak_hour: float

    def at(self, hour: float) -> float:
        return 1 + self.swing * math.cos(_OMEGA * (hour - self.peak_hour))


@dataclass(frozen=True)
class Habits:
    """One phone's history. It is drawn anew every two weeks, at an instant of the phone's own."""

    model: DayAndNight
    seed: int
    device: int
    share: float
    zone_h: float
    begun_h: float

    def at(self, now_s: float) -> Stretch:
        return _piece(self, self._number(now_s)).at(now_s)

    def share_at(self, now_s: float) -> float:
        """The probability that the phone is eligible."""
        return self._share(now_s / HOUR_S)

    def edge_s(self, number: int) -> float:
        """Where a piece of the history begins, in seconds."""
        return (self.begun_h + number * PIECE_H) * HOUR_S

    def _number(self, now_s: float) -> int:
        number = int((now_s / HOUR_S - self.begun_h) // PIECE_H)
        # Rounding may put an instant at an edge into the piece before or after.
        if now_s >= self.edge_s(number + 1):
            return number + 1
        return number if now_s >= self.edge_s(number) else number - 1

    def drawn(self, number: int) -> Iterator[Stretch]:
        """The stretches of one piece; its first state is that of a phone found at that instant."""
        rng = stream(self.seed, Purpose.AVAILABILITY, self.device, number)
        now_s, end_s = self.edge_s(number), self.edge_s(number + 1)
        is_eligible = rng.random() < self.share_at(now_s)
        length_h = self._rest_h(now_s / HOUR_S, rng) if is_eligible else 0.0
        while now_s < end_s:
            if not is_eligible:
                length_h = self._gap_h(now_s / HOUR_S, rng)
            lacking = NOTHING if is_eligible else _LACKS[int(rng.integers(len(_LACKS)))]
            until_s = min(end_s, now_s + length_h * HOUR_S)
            yield Stretch(now_s, until_s, lacking)
            now_s, is_eligible = until_s, not is_eligible
            length_h = self._length_h(rng) if is_eligible else 0.0

    def _share(self, hour: float) -> float:
        return self.share * self.model.day.at(hour + self.zone_h) / (1 + self.model.swing)

    def _length_h(self, rng: np.random.Generator, *, lengthened: float = 0.0) -> float:
        model = self.model
        spread = model.session_h_sigma
        return model.session_h_median * math.exp(spread * rng.standard_normal() + lengthened)

    def _rest_h(self, hour: float, rng: np.random.Generator) -> float:
        """How long the stretch goes on that a phone is found in.

        Long ones are found more often: their lengths are log-normal again, sigma squared higher.
        How much has passed is uniform, as far as stretches began at that hour.
        """
        starts = self.model.starts
        while True:
            length = self._length_h(rng, lengthened=self.model.session_h_sigma**2)
            passed = length * rng.random()
            began = hour + self.zone_h - passed
            if rng.random() * (1 + starts.swing) < starts.at(began):
                return length - passed

    def _gap_h(self, hour: float, rng: np.random.Generator) -> float:
        """How long until the next stretch begins: thinned, at the rate r(t) / (1 - p(t))."""
        model, local_hour = self.model, hour + self.zone_h
        starts, day, scale = model.starts, model.day, self.share / (1 + model.swing)
        most = (1 + starts.swing) / (1 - self.share)
        mean_wait = model.session_h_mean / (scale * most)
        waited = 0.0
        while True:
            waited += mean_wait * rng.standard_exponential()
            then = local_hour + waited
            if rng.random() * most * (1 - scale * day.at(then)) < starts.at(then):
                return waited


class _Piece:
    """The stretches of a piece, drawn as far as anybody has asked: most phones come but once."""

    def __init__(self, stretches: Iterator[Stretch]) -> None:
        self._coming = stretches
        self._drawn: list[Stretch] = []

    def at(self, now_s: float) -> Stretch:
        while not self._drawn or self._drawn[-1].ends_s <= now_s:
            following = next(self._coming, None)
            if following is None:
                break
            self._drawn.append(following)
        return self._drawn[bisect_right(self._drawn, now_s, key=lambda one: one.begins_s) - 1]


@lru_cache(maxsize=1024)
def _piece(habits: Habits, number: int) -> _Piece:
    model, bare = habits.model, habits.drawn(number)
    if model.battery is None and model.heat is None:
        return _Piece(bare)
    rng = stream(habits.seed, Purpose.BATTERY_AND_HEAT, habits.device, number)
    return _Piece(as_charged_and_warm(bare, battery=model.battery, heat=model.heat, rng=rng))
