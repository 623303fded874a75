"""A check is one claim about an artifact, with what was measured and how far it may go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...protocol.artifact import Tolerances
from ...protocol.errors import ExportError, ParityFailure

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Check:
    """One row of the table: passed when ``measured`` is at most ``limit``.

    ``failure`` is the error that ``error`` makes of it; ``runtime`` names the one of LiteRT's
    runtimes it was measured on, and is empty for what the files alone show.
    """

    name: str
    measured: float
    limit: float = 0.0
    failure: type[ExportError] = ExportError
    runtime: str = ""

    @property
    def passed(self) -> bool:
        return bool(self.measured <= self.limit)

    @property
    def error(self) -> ExportError:
        """What to raise when it failed."""
        where = f" on {self.runtime}" if self.runtime else ""
        got = f"{self.name}{where}: got {self.measured:.6g}, expected at most {self.limit:.6g}"
        if self.failure is ParityFailure:
            return ParityFailure(
                f"{got} away from Keras; do not ship this artifact", max_error=self.measured
            )
        return self.failure(f"{got}; do not ship this artifact")


def parity(
    name: str, got: Array | None, wanted: Array, tolerances: Tolerances, slack: Array
) -> Check:
    """The element furthest beyond its tolerance, with the tolerance of that element."""
    if got is None or got.size != wanted.size:
        return Check(name, np.inf, tolerances.atol, ParityFailure)
    wanted = np.asarray(wanted, np.float64).reshape(-1)
    errors = np.abs(np.asarray(got, np.float64).reshape(-1) - wanted)
    limits = tolerances.atol + tolerances.rtol * np.abs(wanted) + slack
    worst = int(np.argmax(np.nan_to_num(errors / limits, nan=np.inf)))
    return Check(name, float(errors[worst]), float(limits[worst]), ParityFailure)


def differing(left: Array, right: Array) -> int:
    """Elements that are not the same bits."""
    same = np.asarray(left).view(np.uint32) == np.asarray(right).view(np.uint32)
    return int(np.size(same) - np.count_nonzero(same))
