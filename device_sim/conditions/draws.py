"""What a phone draws while it works: arrivals, waits, shuffles, each from a stream of its own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..first_draws import first_uniforms
from ..streams import Purpose, stream, stream_after


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
