"""Conditions: when a phone is there, how fast and how reliable it is, and what it does wrong.

Every answer is a pure function of the seed, the phone, the place in a round and the instant. Times
are modelled for the virtual clock only; on a real clock they pass by themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ...protocol.plan import RoundKind
from ..streams import Purpose, stream
from .availability import AlwaysThere, Availability, DayAndNight
from .compute import Compute, LogNormalCompute, PhoneSpeed, TieredCompute
from .mischief import Mischief, MischiefShares
from .needs import EVERYTHING, Need, Presence, held_until, next_instant
from .network import Network, PhoneNetwork, Way
from .places import Place
from .silence import ANYWHERE, Point, Silence
from .traces import Traced, TracedPhone

_DROP_OUT = {
    RoundKind.TRAIN: Purpose.DROP_OUT,
    RoundKind.EVALUATE: Purpose.EVALUATION_DROP_OUT,
}
# For whoever asks of a phone in general: the first round.
ANY_PLACE = Place(1)
# How much faster than the seconds the timers of a phone with a wrong clock are.
HASTE = 100.0


@dataclass(frozen=True)
class Conditions:
    """What the phones of a fleet are like, as distributions.

    ``drop_out`` of the sessions end in silence, at a point that ``silence`` draws; the default lies
    in the 6-10 % of Bonawitz et al. 2019 (arXiv 1902.01046, section 9). An app's job is woken only
    while all of ``wakes_with`` hold, and stopped when one fails. ``drift_ppm`` is the spread of the
    timers' rates: clocks of phones are quartz, tens of parts in a million off.
    The default phones are always there and behave; ``BELIEVABLE`` ones come and go.
    """

    drop_out: float = 0.06
    silence: Silence = field(default_factory=Silence)
    availability: Availability = field(default_factory=AlwaysThere)
    wakes_with: Need = EVERYTHING
    compute: Compute = field(default_factory=LogNormalCompute)
    network: Network = field(default_factory=Network)
    mischief: MischiefShares = field(default_factory=MischiefShares)
    drift_ppm: float = 0.0

    def of_phone(self, *, seed: int, device: int) -> PhoneConditions:
        """Draws one phone; it stays as it is for life."""
        compute, down, up = stream(seed, Purpose.CONDITIONS, device).standard_normal(3)
        traced = self._traced(seed, device)
        speed = self.compute.of_phone(compute, seed=seed, device=device)
        network = self.network.of_phone(down, up, seed=seed, device=device)
        kind = self.mischief.of_phone(seed=seed, device=device)
        return PhoneConditions(
            seed=seed,
            device=device,
            drop_out=self.drop_out,
            silence=self.silence,
            presence=self.availability.of_phone(seed=seed, device=device),
            wakes_with=self.wakes_with,
            speed=speed if traced is None else traced.speed_instead_of(speed),
            network=network if traced is None else traced.network_instead_of(network),
            mischief=kind,
            timer_rate=HASTE if kind is Mischief.WRONG_CLOCK else self._rate(seed, device),
        )

    def _traced(self, seed: int, device: int) -> TracedPhone | None:
        there = self.availability
        return there.phone(seed=seed, device=device) if isinstance(there, Traced) else None

    def _rate(self, seed: int, device: int) -> float:
        if not self.drift_ppm:
            return 1.0
        drawn = float(stream(seed, Purpose.DRIFT, device).standard_normal())
        return 1 + self.drift_ppm * 1e-6 * drawn


BELIEVABLE = Conditions(
    drop_out=0.08,
    silence=ANYWHERE,
    availability=DayAndNight(),
    compute=TieredCompute(),
    network=Network(transfer_cv=0.4, up_cap_bytes_s=1e6),
    drift_ppm=50.0,
)


@dataclass(frozen=True)
class PhoneConditions:
    """One phone's presence, speeds, reliability and manners."""

    seed: int
    device: int
    drop_out: float
    speed: PhoneSpeed
    network: PhoneNetwork
    silence: Silence = field(default_factory=Silence)
    presence: Presence = field(default_factory=AlwaysThere)
    wakes_with: Need = EVERYTHING
    mischief: Mischief | None = None
    timer_rate: float = 1.0

    def drops_out(self, *, round_: int, attempt: int, kind: RoundKind = RoundKind.TRAIN) -> bool:
        """Whether the phone falls silent in this session, the same whenever it is asked."""
        return self.silent_at(Place(round_, attempt, kind)) is not None

    def silent_at(self, place: Place) -> Point | None:
        """The point of this session at which the phone falls silent, if it does."""
        rng = stream(self.seed, _DROP_OUT[place.kind], self.device, place.round, place.attempt)
        if rng.random() >= self.drop_out:
            return None
        return self.silence.point(float(rng.random()))

    def lacking(self, now_s: float, needs: Need) -> Need:
        """Which of these needs fail at an instant."""
        return self.presence.at(now_s).lacking & needs

    def next_wake_s(self, due_s: float) -> float:
        """When a job due at this instant is woken: at once, or as soon as the phone is eligible."""
        return next_instant(self.presence, due_s, needs=self.wakes_with)

    def held_until_s(self, now_s: float, *, needs: Need, horizon_s: float) -> float:
        """When work that goes on until ``horizon_s`` ends, or is stopped for want of a need."""
        return held_until(self.presence, now_s, needs=needs, horizon_s=horizon_s)

    def timer_s(self, wait_s: float) -> float:
        """How long a wait really is that the phone's own clock measures."""
        return wait_s / self.timer_rate

    def compute_s(
        self, steps: int, *, batch_size: int = 10, place: Place = ANY_PLACE, now_s: float = 0.0
    ) -> float:
        """How long ``steps`` batches take in this place, from this instant on."""
        batch_s = self.speed.session_batch_s(
            place, batch_size=batch_size, seed=self.seed, device=self.device
        )
        return steps * batch_s * self.presence.at(now_s).slowdown

    def download_s(self, size_bytes: int, *, place: Place = ANY_PLACE) -> float:
        return self.network.transfer_s(size_bytes, Way.DOWN, place)

    def upload_s(self, size_bytes: int, *, place: Place = ANY_PLACE) -> float:
        return self.network.transfer_s(size_bytes, Way.UP, place)


def on_a_real_clock(*, drop_out: float, seed: int, device: int) -> PhoneConditions:
    """A phone that is always there and whose work takes the time it takes."""
    return PhoneConditions(
        seed=seed,
        device=device,
        drop_out=drop_out,
        speed=PhoneSpeed(0.0),
        network=PhoneNetwork(seed, device, down_bytes_s=math.inf, up_bytes_s=math.inf),
    )
