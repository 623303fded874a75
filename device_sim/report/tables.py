"""The tables of the page: rounds, baselines, who was left out, why, and how sessions went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..following.monitor import RoundRow
from .amounts import bytes_of, duration_of, share_of
from .baselines import Baseline
from .diversity import Diversity
from .html import NONE, Cell, table
from .places import Places
from .rows import check_ins_of
from .summary import Summary
from .target import ToTarget

SHAPES_KEY = (
    "- checked in, v model and checkpoint here, [ training, ] trained, ( measuring, ) measured, "
    "+ upload, ^ acknowledged, # rejected, ! interrupted, * error"
)
_SHAPES_SHOWN = 12
_REACH = (
    "tier",
    "never took part",
    "phones",
    "never checked in",
    "never given a place",
    "never accepted",
    "took part",
)
_EXCLUSION = (
    "tier",
    "too late",
    "places",
    "accepted",
    "round closed first",
    "own time-out",
    "fell silent",
    "interrupted",
    "failed",
)


def rounds_table(rows: Sequence[RoundRow]) -> str:
    """A line for each round; columns that nothing ever filled are left out."""
    lines = [
        _round_line(row, check_ins) for row, check_ins in zip(rows, check_ins_of(rows), strict=True)
    ]
    shown = [name for name in lines[0] if any(line[name] != NONE for line in lines)]
    return table(shown, ([line[name] for name in shown] for line in lines), is_long=len(rows) > 20)


def _round_line(row: RoundRow, check_ins: int) -> dict[str, str]:
    attempt = f" ({row.attempt})" if row.attempt > 1 else ""
    measured, trained, stale = row.phones_accuracy, row.train_loss, row.staleness
    return {
        "round": f"{row.round}{attempt}",
        "accuracy": f"{row.accuracy:.2%}",
        "by phones": NONE if measured is None else f"{measured:.2%}",
        "loss": f"{row.loss:.4f}",
        "train loss": NONE if trained is None else f"{trained:.4f}",
        "accepted": f"{row.accepted}",
        "new": f"{row.newcomers}",
        "late": f"{row.late}",
        "dropped": f"{row.dropped}",
        "staleness": NONE if stale is None else f"{stale:.2f}",
        "check-ins": f"{check_ins:,}",
        "up": bytes_of(row.bytes_up),
        "down": bytes_of(row.bytes_down),
        "clock": duration_of(row.seconds),
    }


def baselines_table(summary: Summary) -> str:
    """This run and the baselines beside it."""
    if not summary.baselines:
        return ""
    mine = (
        "this run",
        f"{summary.accuracy:.2%}",
        f"{summary.best_accuracy:.2%}",
        f"{summary.rounds}",
        bytes_of(summary.bytes_up + summary.bytes_down),
        duration_of(summary.seconds),
        *_target_cells(summary.to_target),
    )
    columns = ("", "accuracy", "best", "rounds", "bytes", "clock")
    to_target = ("rounds to target", "bytes to target", "time to target")
    return table((*columns, *to_target), (mine, *map(_baseline_line, summary.baselines)))


def _baseline_line(one: Baseline) -> Sequence[str | Cell]:
    moved = (
        None if one.bytes_up is None or one.bytes_down is None else one.bytes_up + one.bytes_down
    )
    spread = "" if one.spread is None else f" ± {100 * one.spread.deviation:.1f}"
    return (
        one.name,
        f"{one.accuracy:.2%}{spread}",
        f"{one.best_accuracy:.2%}",
        f"{one.rounds}" if one.spread is None else NONE,
        bytes_of(moved),
        duration_of(one.seconds),
        *_target_cells(one.to_target),
    )


def _target_cells(found: ToTarget | None) -> tuple[str, str, str]:
    if found is None:
        return NONE, NONE, NONE
    moved = (
        None if found.bytes_up is None or found.bytes_down is None
        else found.bytes_up + found.bytes_down
    )  # fmt: skip
    return f"{found.rounds:.1f}", bytes_of(moved), duration_of(found.seconds)


def exclusion_table(tiers: Mapping[str, Places]) -> str:
    """What became of the places that phones of each tier were given."""
    return table(_EXCLUSION, map(_exclusion_line, tiers, tiers.values())) if tiers else ""


def _exclusion_line(tier: str, places: Places) -> Sequence[str | Cell]:
    counts = (
        places.given,
        places.accepted,
        places.closed_first,
        places.timed_out,
        places.silent,
        places.interrupted,
        places.failed,
    )
    share = places.too_late_share
    return (tier or "all", Cell(f"{share:.1%}", share=share), *(f"{one:,}" for one in counts))


def reach_table(diversity: Diversity) -> str:
    """How far the phones of each tier ever came."""
    lines = [
        (
            tier or "all",
            Cell(
                share_of(reach.never_took_part, reach.phones),
                share=reach.never_took_part / reach.phones,
            ),
            f"{reach.phones:,}",
            f"{reach.never_checked_in:,}",
            f"{reach.never_given_a_place:,}",
            f"{reach.never_accepted:,}",
            f"{reach.took_part:,}",
        )
        for tier, reach in diversity.tiers.items()
    ]
    return table(_REACH, lines)


def rejections_table(summary: Summary) -> str:
    """Why check-ins got no place."""
    if not summary.rejections:
        return ""
    lines = [
        (
            reason.replace("_", " "),
            f"{count:,}",
            Cell(share_of(count, summary.check_ins), share=count / summary.check_ins),
        )
        for reason, count in sorted(summary.rejections.items(), key=lambda one: -one[1])
    ]
    return table(("reason", "check-ins", "of all check-ins"), lines)


def shapes_table(shapes: Mapping[str, int]) -> str:
    """Sessions by their sequence of events, the most frequent first."""
    if not shapes:
        return ""
    total = sum(shapes.values())
    ordered = sorted(shapes.items(), key=lambda one: (-one[1], one[0]))
    lines = [
        (Cell(shape, kind="shape"), f"{count:,}", Cell(share_of(count, total), share=count / total))
        for shape, count in ordered[:_SHAPES_SHOWN]
    ]
    others = sum(count for _, count in ordered[_SHAPES_SHOWN:])
    if others:
        name = f"{len(ordered) - _SHAPES_SHOWN} others"
        lines.append(
            (Cell(name), f"{others:,}", Cell(share_of(others, total), share=others / total))
        )
    return table(("session", "count", "share"), lines)
