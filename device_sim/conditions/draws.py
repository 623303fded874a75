"""What a phone draws while it works: arrivals, waits, shuffles, each from a stream of its own."""

from __future__ import annotations

import numpy as np

from ..streams import Purpose, stream


def arrival_s(*, seed: int, device: int, within_s: float) -> float:
    """When a phone checks in first, uniform over the window."""
    return float(stream(seed, Purpose.ARRIVAL, device).uniform(0.0, within_s))


def retry_stream(*, seed: int, device: int) -> np.random.Generator:
    """The stream a phone draws all its waits from, one after the other."""
    return stream(seed, Purpose.RETRY, device)


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
