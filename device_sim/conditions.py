"""Conditions: how reliable a phone is, and how fast it computes and transfers.

Times are modelled for the virtual clock only; on a real clock they pass by themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..protocol.plan import RoundKind
from .first_draws import first_uniforms
from .streams import Purpose, stream, stream_after

_DROP_OUT = {
    RoundKind.TRAIN: Purpose.DROP_OUT,
    RoundKind.EVALUATE: Purpose.EVALUATION_DROP_OUT,
}


@dataclass(frozen=True)
class Conditions:
    """What the phones of a fleet are like, as distributions.

    The default drop-out lies in the 6-10 % of Bonawitz et al. 2019 (arXiv 1902.01046, section 9).
    The default speeds are log-normal: compute with sigma 0.6, and the bandwidths of the 19 Wi-Fi
    users of Yang et al. 2021 (arXiv 2006.06983), in KB/s, a user's up and down correlated.
    """

    drop_out: float = 0.06
    batch_ms_median: float = 20.0
    batch_ms_sigma: float = 0.6
    down_kb_s_mu: float = 8.55
    down_kb_s_sigma: float = 0.48
    up_kb_s_mu: float = 8.04
    up_kb_s_sigma: float = 0.70
    up_down_correlation: float = 0.45

    def of_phone(self, *, seed: int, device: int) -> PhoneConditions:
        """Draws one phone; it stays as it is for life."""
        compute, down, up = stream(seed, Purpose.CONDITIONS, device).standard_normal(3)
        rho = self.up_down_correlation
        up = rho * down + math.sqrt(1 - rho * rho) * up
        return PhoneConditions(
            seed=seed,
            device=device,
            drop_out=self.drop_out,
            batch_s=self.batch_ms_median / 1000 * math.exp(self.batch_ms_sigma * compute),
            down_bytes_s=1000 * math.exp(self.down_kb_s_mu + self.down_kb_s_sigma * down),
            up_bytes_s=1000 * math.exp(self.up_kb_s_mu + self.up_kb_s_sigma * up),
        )


@dataclass(frozen=True)
class PhoneConditions:
    """One phone's reliability and speeds."""

    seed: int
    device: int
    drop_out: float
    batch_s: float
    down_bytes_s: float
    up_bytes_s: float

    def drops_out(self, *, round_: int, attempt: int, kind: RoundKind = RoundKind.TRAIN) -> bool:
        """Whether the phone falls silent in this session, the same whenever it is asked."""
        purpose = _DROP_OUT[kind]
        rng = stream(self.seed, purpose, self.device, round_, attempt)
        return bool(rng.random() < self.drop_out)

    def compute_s(self, steps: int) -> float:
        """How long ``steps`` batches take."""
        return steps * self.batch_s

    def download_s(self, size_bytes: int) -> float:
        return size_bytes / self.down_bytes_s

    def upload_s(self, size_bytes: int) -> float:
        return size_bytes / self.up_bytes_s


def on_a_real_clock(*, drop_out: float, seed: int, device: int) -> PhoneConditions:
    """A phone whose work takes the time it takes."""
    return PhoneConditions(
        seed=seed,
        device=device,
        drop_out=drop_out,
        batch_s=0.0,
        down_bytes_s=math.inf,
        up_bytes_s=math.inf,
    )


def arrivals_s(*, seed: int, phones: int, within_s: float) -> npt.NDArray[np.float64]:
    """When each phone checks in first, uniform over the window; float64 [phones]."""
    return within_s * first_uniforms(seed, Purpose.ARRIVAL, count=phones)


def retry_stream(*, seed: int, device: int, drawn: int) -> np.random.Generator:
    """The stream a phone draws all its waits from, after ``drawn`` of them.

    A wait takes one 64-bit number, so that the next one is found without a generator kept.
    """
    return stream_after(drawn, seed, Purpose.RETRY, device)


def shuffle_stream(*, seed: int, device: int, round_: int) -> np.random.Generator:
    """The stream of one phone's local training in one round.

    Neither the attempt nor the time is a key: the same phone trains the same delta again from the
    same checkpoint.
    """
    return stream(seed, Purpose.SHUFFLE, device, round_)


def rounding_stream(*, seed: int, device: int, round_: int) -> np.random.Generator:
    """The stream that rounds one phone's delta in one round, where its codec rounds at random."""
    return stream(seed, Purpose.ROUNDING, device, round_)


def evaluation_stream(*, seed: int, device: int, version: int) -> np.random.Generator:
    """The stream by which one phone chooses the examples it measures a version on."""
    return stream(seed, Purpose.EVALUATION, device, version)
