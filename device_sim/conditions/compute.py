"""Compute: how long a batch takes on a phone.

The tiers are those of Yang et al. 2021 (FLASH, arXiv 2006.06983): milliseconds per batch of 10
for LEAF's FEMNIST-CNN, measured on phones of three classes, and the mix of those classes among
their users.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from ...protocol.errors import ConfigError
from ..streams import Purpose, stream
from .places import Place

# Multiplications of LEAF's FEMNIST-CNN for one example, forwards (convolutions of 32 and 64 filters
# of 5 x 5 on 28 x 28 and 14 x 14, dense layers of 2048 and 62): what a step's cost is relative to.
FEMNIST_CNN_MULTIPLICATIONS = 627_200 + 10_035_200 + 6_422_528 + 126_976
# The same count for models of the zoo.
MULTIPLICATIONS = {
    "mnist_2nn": 156_800 + 40_000 + 2_000,
    "mnist_cnn": 627_200 + 10_035_200 + 1_605_632 + 5_120,
}
_LEAST = 0.1


def step_cost(multiplications: float) -> float:
    """The cost of a step relative to the FEMNIST-CNN's, by multiplications per example, forwards.

    A rule of thumb: a gradient costs about twice a forward pass in either model, and memory,
    activations and what the runtime adds to each call are left out.
    """
    return multiplications / FEMNIST_CNN_MULTIPLICATIONS


@dataclass(frozen=True)
class PhoneSpeed:
    """One phone's speed: seconds per batch, normal over its sessions, and the name of its tier.

    A batch of another size than ``batch_of`` takes as much longer as it is larger; with None it
    takes as long.
    """

    batch_s: float
    batch_sd_s: float = 0.0
    tier: str = ""
    batch_of: int | None = None

    def session_batch_s(self, place: Place, *, batch_size: int, seed: int, device: int) -> float:
        """Seconds per batch in one session, a tenth of the mean at least."""
        drawn = self.batch_s
        if self.batch_sd_s:
            rng = stream(seed, Purpose.BATCH_TIME, device, *place.keys)
            drawn = max(_LEAST * drawn, drawn + self.batch_sd_s * rng.standard_normal())
        return drawn if self.batch_of is None else drawn * batch_size / self.batch_of


class Compute(Protocol):
    """How fast the phones of a fleet are."""

    def of_phone(self, normal: float, *, seed: int, device: int) -> PhoneSpeed:
        """Draws one phone's speed for life; ``normal`` is a standard normal number of its own."""
        ...


@dataclass(frozen=True)
class LogNormalCompute:
    """Speeds without tiers: the time of a batch is log-normal.

    Sigma 0.6 is mild (FedScale's generator, arXiv 2105.11367); 0.93 is the spread of the
    floating-point scores that AI-Benchmark lists (in FLASH's repository, 333 models unweighted).
    """

    batch_ms_median: float = 20.0
    sigma: float = 0.6

    def of_phone(self, normal: float, *, seed: int, device: int) -> PhoneSpeed:
        return PhoneSpeed(self.batch_ms_median / 1000 * math.exp(self.sigma * normal))


@dataclass(frozen=True)
class Tier:
    """A class of phones: its share of all, and its milliseconds per batch."""

    name: str
    share: float
    batch_ms: float
    batch_ms_sd: float


FLASH_TIERS = (
    Tier("low", 0.532, 1642.0, 99.5),
    Tier("mid", 0.464, 588.0, 23.9),
    Tier("high", 0.004, 179.0, 2.3),
)


@dataclass(frozen=True)
class TieredCompute:
    """Three tiers of phones (Yang et al. 2021); ``cost`` is that of a step of the task's model.

    ``step_cost`` counts it; a task that was measured on a phone gives measured / tier time.
    Raises ConfigError if the shares do not add up to 1.
    """

    cost: float = 1.0
    tiers: tuple[Tier, ...] = FLASH_TIERS
    batch_of: int = 10

    def __post_init__(self) -> None:
        total = sum(tier.share for tier in self.tiers)
        if abs(total - 1) > 1e-9:
            raise ConfigError("tiers", total, "the shares of the tiers must add up to 1")

    def of_phone(self, normal: float, *, seed: int, device: int) -> PhoneSpeed:
        tier = self._tier(float(stream(seed, Purpose.TIER, device).random()))
        return PhoneSpeed(
            batch_s=tier.batch_ms / 1000 * self.cost,
            batch_sd_s=tier.batch_ms_sd / 1000 * self.cost,
            tier=tier.name,
            batch_of=self.batch_of,
        )

    def _tier(self, drawn: float) -> Tier:
        for tier in self.tiers:
            drawn -= tier.share
            if drawn < 0:
                return tier
        return self.tiers[-1]
