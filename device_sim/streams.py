"""Random streams: one independent generator per (seed, purpose, keys).

No stream is shared between phones, so a result depends neither on the order of events nor on the
number of workers.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is for; the numbers are part of what a seed means, so they never change."""

    OWNERSHIP = 1
    CONDITIONS = 2
    ARRIVAL = 3
    DROP_OUT = 4
    SHUFFLE = 5
    RETRY = 6
    ROUNDING = 7
    EVALUATION = 8
    EVALUATION_DROP_OUT = 9
    DRAWN = 10
    WRITER = 11
    TEST_WRITER = 12
    ROLES = 13
    TESTED = 14
    HABITS = 20
    AVAILABILITY = 21
    BATTERY_AND_HEAT = 22
    TIER = 23
    BATCH_TIME = 24
    TRANSFER = 25
    TRANSFER_FAILURE = 26
    MISCHIEF = 27
    DRIFT = 28
    TRACE = 29
    LOOKED_AT = 30
    BASELINE = 31
    COHORT = 32


def stream(seed: int, purpose: Purpose, *keys: int) -> np.random.Generator:
    """The generator of one purpose and, say, one device and one round; always the same one."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(purpose), *keys)))


def stream_after(numbers: int, seed: int, purpose: Purpose, *keys: int) -> np.random.Generator:
    """The same generator after it has given so many numbers of 64 bits, found in O(log numbers)."""
    bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(int(purpose), *keys)))
    bits.advance(numbers)
    return np.random.Generator(bits)
