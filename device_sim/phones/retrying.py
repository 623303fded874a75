"""Retrying: what a phone does after an error, exactly as docs/protocol.md says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from ...protocol.errors import (
    AttestationFailed,
    DeviceRevoked,
    NoAnswer,
    NotFound,
    PocketFedError,
    Unauthenticated,
    Unavailable,
    UnsupportedVersion,
)


class Step(Enum):
    """The steps a phone takes, one after the other."""

    CHECK_IN = "check in"
    DOWNLOAD = "download"
    TRAIN = "train"
    REPORT = "report"
    UPLOAD = "upload"


class Remedy(Enum):
    """What follows an error."""

    SAME_REQUEST = "send the same request again"
    GIVE_UP = "report that no delta will come"
    RETRY_WINDOW = "drop the delta and check in after the retry window"
    NO_ANSWER = "check in after a quarter of an hour"
    REFUSED = "check in after four hours"


@dataclass(frozen=True)
class RetryPolicy:
    """The waits of docs/protocol.md, "Retrying"; ``tries`` counts the first request too."""

    tries: int = 3
    first_wait_s: float = 5.0
    growth: float = 2.0
    no_answer_s: float = 15 * 60.0
    refused_s: float = 4 * 3600.0
    jitter: float = 0.2

    def same_request_wait_s(self, error: PocketFedError, *, tries: int) -> float:
        """The wait before a request goes out again after ``tries`` failed ones."""
        if isinstance(error, Unavailable) and not isinstance(error, NoAnswer):
            return error.retry_after_s
        return self.first_wait_s * self.growth ** (tries - 1)

    def no_answer_wait_s(self, rng: np.random.Generator) -> float:
        return self._around(self.no_answer_s, rng)

    def refused_wait_s(self, rng: np.random.Generator) -> float:
        return self._around(self.refused_s, rng)

    def _around(self, middle_s: float, rng: np.random.Generator) -> float:
        return float(middle_s * rng.uniform(1 - self.jitter, 1 + self.jitter))


def remedy(error: PocketFedError, *, step: Step, tries: int, policy: RetryPolicy) -> Remedy:
    """Decides after ``tries`` requests of one step failed in a row, the last with ``error``.

    A phone that cannot begin (damaged download, unusable plan) gives its place back. A check-in
    that fails in a way the protocol does not name is treated like one that got no answer.
    """
    if error.retryable:
        return Remedy.SAME_REQUEST if tries < policy.tries else Remedy.NO_ANSWER
    if isinstance(error, (UnsupportedVersion, Unauthenticated, DeviceRevoked, AttestationFailed)):
        return Remedy.REFUSED
    if step is Step.CHECK_IN:
        return Remedy.REFUSED if isinstance(error, NotFound) else Remedy.NO_ANSWER
    if step in (Step.DOWNLOAD, Step.TRAIN):
        return Remedy.GIVE_UP
    return Remedy.RETRY_WINDOW
