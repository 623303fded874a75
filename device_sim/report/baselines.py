"""Baselines in a report: how the same model does when it is trained in another way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...protocol.record import Count, Positive, Record, Seconds
from .target import ToTarget, crossing, value_at


@dataclass(frozen=True)
class BaselinePoint:
    """One evaluation of a baseline.

    ``round`` is the round of the run itself beside which it stands, ``examples`` how many it has
    trained on by then, each pass counted. A baseline without phones has neither clock nor traffic.
    """

    round: int
    accuracy: float
    loss: float
    examples: int
    seconds: float | None = None
    bytes_up: int | None = None
    bytes_down: int | None = None


class Spread(Record, frozen=True, kw_only=True):
    """How phones that train alone differ: the accuracy's standard deviation, least and most."""

    phones: Positive
    deviation: float
    least: float
    most: float


class Baseline(Record, frozen=True, kw_only=True):
    """A baseline in a few numbers; ``kind`` is fedsgd, centralised or on_device.

    ``accuracy`` is that of the last evaluation, for phones that train alone their mean. ``spread``
    is theirs alone. ``note`` says in a sentence what was run.
    """

    kind: str
    name: str
    note: str
    learning_rate: float
    rounds: Count
    examples: Count
    accuracy: float
    best_accuracy: float
    seconds: Seconds | None = None
    bytes_up: Count | None = None
    bytes_down: Count | None = None
    to_target: ToTarget | None = None
    spread: Spread | None = None
    points: tuple[BaselinePoint, ...] = ()


def baseline_of(
    points: Sequence[BaselinePoint],
    *,
    kind: str,
    name: str,
    note: str,
    learning_rate: float,
    target: float | None,
) -> Baseline:
    """The baseline that a curve of at least one point describes."""
    last = points[-1]
    return Baseline(
        kind=kind,
        name=name,
        note=note,
        learning_rate=learning_rate,
        rounds=last.round,
        examples=last.examples,
        accuracy=last.accuracy,
        best_accuracy=max(point.accuracy for point in points),
        seconds=last.seconds,
        bytes_up=last.bytes_up,
        bytes_down=last.bytes_down,
        to_target=None if target is None else _to_target(points, target),
        points=tuple(points),
    )


def _to_target(points: Sequence[BaselinePoint], target: float) -> ToTarget | None:
    place = crossing([point.accuracy for point in points], target)
    if place is None:
        return None

    def at(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return value_at(place, known) if len(known) == len(values) else None

    return ToTarget(
        rounds=value_at(place, [point.round for point in points]),
        seconds=at([point.seconds for point in points]),
        bytes_up=at([point.bytes_up for point in points]),
        bytes_down=at([point.bytes_down for point in points]),
    )
