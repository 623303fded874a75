"""Measurements: what devices tell of a checkpoint, and its means over them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from ...protocol.errors import ImplausibleReport
from ...protocol.messages import Outcome, Report


class Mean(NamedTuple):
    """A metric over all examples of all devices that have measured it."""

    value: float
    num_examples: int
    devices: int


def weighted_means(reports: Iterable[Report], *, minimum: int) -> dict[str, Mean]:
    """The mean of each metric weighted by examples, to the same bit in any order of the reports.

    A name that fewer than ``minimum`` devices have sent is left out: it would tell of too few, and
    nobody can fill the table with names of their own.
    """
    found: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for report in reports:
        for name, value in report.metrics.items():
            found[name].append((value, report.num_examples))
    return {name: _mean(one) for name, one in sorted(found.items()) if len(one) >= minimum}


def require_measurement(report: Report, *, max_examples: int) -> None:
    """Raises ImplausibleReport for a completed evaluation that no honest device sends."""
    if report.outcome is not Outcome.COMPLETED:
        return
    if not 1 <= report.num_examples <= max_examples:
        raise ImplausibleReport(
            f"num_examples is {report.num_examples}, expected 1 to {max_examples}; measure again"
        )
    if not report.metrics:
        raise ImplausibleReport("an evaluation measures at least one metric; add it")
    if report.bytes or report.sha256 is not None:
        raise ImplausibleReport("an evaluation announces no body; leave bytes and sha256 out")


def _mean(measured: list[tuple[float, int]]) -> Mean:
    num_examples = sum(count for _, count in measured)
    total = math.fsum(value * count for value, count in measured)
    return Mean(value=total / num_examples, num_examples=num_examples, devices=len(measured))
