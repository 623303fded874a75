"""Network: how fast a phone transfers, and how often a transfer breaks off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from ..streams import Purpose, stream
from .places import Place

_LEAST = 0.1


class Way(IntEnum):
    """Towards the phone, or away from it; the numbers are keys of streams."""

    DOWN = 0
    UP = 1


@dataclass(frozen=True)
class Network:
    """Bandwidths in KB/s, log-normal over the phones, a phone's up and down correlated.

    The numbers are fits to the Wi-Fi of the 19 users of Yang et al. 2021 (arXiv 2006.06983, its
    repository's bandwidths). ``transfer_cv`` is how far one transfer of a user strays from that
    user's mean (0.37 down, 0.40 up there), normal and a tenth of it at least. ``up_cap_bytes_s``
    caps the way up: McMahan et al. 2016 (arXiv 1602.05629) reckon with 1 MB/s at most.
    ``failure`` is how many transfers break off, an assumption of whoever sets it.
    """

    down_kb_s_mu: float = 8.55
    down_kb_s_sigma: float = 0.48
    up_kb_s_mu: float = 8.04
    up_kb_s_sigma: float = 0.70
    up_down_correlation: float = 0.45
    transfer_cv: float = 0.0
    up_cap_bytes_s: float = math.inf
    failure: float = 0.0

    def of_phone(self, down: float, up: float, *, seed: int, device: int) -> PhoneNetwork:
        """One phone's network for life, from two independent standard normal numbers."""
        rho = self.up_down_correlation
        up = rho * down + math.sqrt(1 - rho * rho) * up
        return PhoneNetwork(
            seed=seed,
            device=device,
            down_bytes_s=1000 * math.exp(self.down_kb_s_mu + self.down_kb_s_sigma * down),
            up_bytes_s=1000 * math.exp(self.up_kb_s_mu + self.up_kb_s_sigma * up),
            transfer_cv=self.transfer_cv,
            up_cap_bytes_s=self.up_cap_bytes_s,
            failure=self.failure,
        )


@dataclass(frozen=True)
class PhoneNetwork:
    """One phone's bandwidths, their spread, and how often they end in the middle."""

    seed: int
    device: int
    down_bytes_s: float
    up_bytes_s: float
    transfer_cv: float = 0.0
    up_cap_bytes_s: float = math.inf
    failure: float = 0.0

    def transfer_s(self, size_bytes: int, way: Way, place: Place) -> float:
        """How long so many bytes take in this place; the same whenever asked."""
        if way is Way.DOWN:
            return size_bytes / (self.down_bytes_s * self._share(way, place))
        return size_bytes / min(self.up_cap_bytes_s, self.up_bytes_s * self._share(way, place))

    def breaks_off(self, way: Way, place: Place, *, tries: int) -> bool:
        """Whether the transfer fails, after ``tries`` that failed before."""
        if not self.failure:
            return False
        rng = stream(self.seed, Purpose.TRANSFER_FAILURE, self.device, *place.keys, way, tries)
        return bool(rng.random() < self.failure)

    def _share(self, way: Way, place: Place) -> float:
        if not self.transfer_cv:
            return 1.0
        rng = stream(self.seed, Purpose.TRANSFER, self.device, *place.keys, way)
        return max(_LEAST, 1 + self.transfer_cv * rng.standard_normal())
