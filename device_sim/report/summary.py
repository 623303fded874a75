"""The summary of a run: a few numbers, in JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence

from ...protocol.errors import DataError
from ...protocol.record import Count, Positive, Record, Seconds
from ..following.monitor import RoundRow
from .baselines import Baseline
from .facts import RunFacts
from .places import Places, places_of
from .target import ToTarget, crossing, value_at


class Summary(Record, frozen=True, kw_only=True):
    """A run in a few numbers. ``accuracy`` is that of the last round, ``best_accuracy`` of any.

    Bytes and check-ins are those of all phones, whatever came of them. Of ``bytes_down`` some were
    the model with its manifest and some checkpoints, of ``bytes_up`` some were updates, and the
    rest are messages. ``rejections`` counts by reason the check-ins that got no place, ``shapes``
    the sessions that had one by their sequence of events, and ``tiers`` says what became of the
    places of each class of speed. ``to_target`` is None where the target
    was not met, or there is none.
    """

    accuracy: float
    best_accuracy: float
    rounds: Count
    seconds: Seconds
    hours: Seconds
    checkpoint: str
    bytes_up: Count
    bytes_down: Count
    bytes_model: Count
    bytes_checkpoint: Count
    bytes_update: Count
    check_ins: Count
    accepted: Count
    check_ins_per_report: float | None
    rejections: dict[str, Count]
    shapes: dict[str, Count]
    tiers: dict[str, Places]
    distinct_phones: Count
    phones: Positive
    seed: int
    target: float | None
    to_target: ToTarget | None
    baselines: tuple[Baseline, ...] = ()


def summarise_run(rows: Sequence[RoundRow], facts: RunFacts) -> Summary:
    """Condenses a run; raises DataError when no checkpoint was evaluated."""
    if not rows:
        raise DataError("no checkpoint was evaluated, so there is nothing to report")
    tallies, now = facts.tallies, facts.tallies.standing()
    return Summary(
        accuracy=rows[-1].accuracy,
        best_accuracy=max(row.accuracy for row in rows),
        rounds=rows[-1].round,
        seconds=facts.seconds,
        hours=facts.seconds / 3600.0,
        checkpoint=rows[-1].checkpoint,
        bytes_up=now.bytes_up,
        bytes_down=now.bytes_down,
        bytes_model=tallies.bytes_model,
        bytes_checkpoint=tallies.bytes_checkpoint,
        bytes_update=tallies.bytes_update,
        check_ins=now.check_ins,
        accepted=now.accepted,
        check_ins_per_report=now.check_ins / now.accepted if now.accepted else None,
        rejections=now.turned_away,
        shapes=dict(sorted(tallies.shapes.items())),
        tiers=places_of(tallies.census.tiers),
        distinct_phones=now.distinct,
        phones=facts.phones,
        seed=facts.seed,
        target=facts.target,
        to_target=None if facts.target is None else to_target(rows, facts.target),
        baselines=facts.baselines,
    )


def to_target(rows: Sequence[RoundRow], target: float) -> ToTarget | None:
    """What a run took until it first met the target; None if it never did."""
    place = crossing([row.accuracy for row in rows], target)
    if place is None:
        return None
    return ToTarget(
        rounds=value_at(place, [row.round for row in rows]),
        seconds=value_at(place, [row.seconds for row in rows]),
        bytes_up=value_at(place, [row.standing.bytes_up for row in rows]),
        bytes_down=value_at(place, [row.standing.bytes_down for row in rows]),
    )
