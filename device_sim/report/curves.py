"""Curves: accuracy against rounds, hours and bytes, with the target and the baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..following.monitor import RoundRow
from .baselines import Baseline, BaselinePoint
from .canvas import Palette, Picture, named, short_numbers, whole_numbers
from .facts import RunFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES = ((0, (5, 2)), (0, (1, 1.2)), (0, (4, 1.5, 1, 1.5)))


def accuracy_pictures(rows: Sequence[RoundRow], facts: RunFacts) -> list[Picture]:
    """Against rounds, against the fleet's clock, and against all bytes that phones moved."""
    return [
        Picture(
            "Test accuracy, %, by round",
            f"Accuracy on the test examples against rounds, {rows[-1].accuracy:.2%} at the end",
            partial(_by_round, rows, facts),
        ),
        Picture(
            "Test accuracy, %, by time",
            "Accuracy on the test examples against the fleet's clock",
            partial(_by_time, rows, facts),
        ),
        Picture(
            "Test accuracy, %, by traffic",
            "Accuracy on the test examples against the bytes that all phones sent and received",
            partial(_by_traffic, rows, facts),
        ),
        Picture(
            "Bytes so far",
            "Bytes that all phones have sent and received against rounds",
            partial(_traffic, rows),
        ),
    ]


def _by_round(rows: Sequence[RoundRow], facts: RunFacts, axes: Axes, palette: Palette) -> None:
    _run(axes, palette, [row.round for row in rows], rows)
    _by_phones(axes, palette, rows)
    for place, one in enumerate(facts.baselines):
        if one.spread is not None:
            _band(axes, palette, place, one)
        else:
            _line(axes, palette, place, one, lambda point: point.round)
    _framed(axes, palette, facts, across="round")
    whole_numbers(axes)


def _by_time(rows: Sequence[RoundRow], facts: RunFacts, axes: Axes, palette: Palette) -> None:
    longest = max(rows[-1].seconds, *(one.seconds or 0.0 for one in facts.baselines), 0.0)
    unit, size_s = ("hours", 3600.0) if longest >= 7200.0 else ("seconds", 1.0)
    _run(axes, palette, [row.seconds / size_s for row in rows], rows)
    _lines(
        axes,
        palette,
        facts.baselines,
        lambda point: None if point.seconds is None else point.seconds / size_s,
    )
    _framed(axes, palette, facts, across=f"{unit} of the fleet's clock")


def _by_traffic(rows: Sequence[RoundRow], facts: RunFacts, axes: Axes, palette: Palette) -> None:
    moved = [(row.standing.bytes_up + row.standing.bytes_down) / 1e6 for row in rows]
    _run(axes, palette, moved, rows)
    _lines(
        axes,
        palette,
        facts.baselines,
        lambda point: (
            None
            if point.bytes_up is None or point.bytes_down is None
            else (point.bytes_up + point.bytes_down) / 1e6
        ),
    )
    _framed(axes, palette, facts, across="MB sent and received by all phones")


def _traffic(rows: Sequence[RoundRow], axes: Axes, palette: Palette) -> None:
    rounds = [row.round for row in rows]
    up, down = palette.series[0], palette.series[1]
    received = [row.standing.bytes_down for row in rows]
    sent = [row.standing.bytes_up for row in rows]
    axes.plot(rounds, received, color=down, linewidth=2, label="received by phones")
    axes.plot(rounds, sent, color=up, linewidth=2, linestyle=_DASHES[0], label="sent by phones")
    axes.set_ylim(bottom=0)
    named(axes, palette, across="round", place="upper left")
    whole_numbers(axes)
    short_numbers(axes)


def _run(axes: Axes, palette: Palette, across: Sequence[float], rows: Sequence[RoundRow]) -> None:
    percent = [100 * row.accuracy for row in rows]
    axes.plot(
        across, percent, color=palette.run, linewidth=2.2, label="this run", zorder=3,
        solid_capstyle="round",
    )  # fmt: skip
    axes.plot(across[-1:], percent[-1:], "o", color=palette.run, markersize=5, zorder=3)


def _by_phones(axes: Axes, palette: Palette, rows: Sequence[RoundRow]) -> None:
    """A ring for each checkpoint that phones have measured."""
    measured = [
        (row.round, 100 * row.phones_accuracy) for row in rows if row.phones_accuracy is not None
    ]
    if measured:
        rounds, percent = zip(*measured, strict=True)
        axes.plot(
            rounds,
            percent,
            "o",
            color=palette.ink,
            markersize=5,
            fillstyle="none",
            label="measured by phones",
        )


def _lines(
    axes: Axes,
    palette: Palette,
    baselines: Sequence[Baseline],
    across: Callable[[BaselinePoint], float | None],
) -> None:
    for place, one in enumerate(baselines):
        _line(axes, palette, place, one, across)


def _line(
    axes: Axes,
    palette: Palette,
    place: int,
    one: Baseline,
    across: Callable[[BaselinePoint], float | None],
) -> None:
    """A baseline where it has what runs across."""
    found = [(across(point), 100 * point.accuracy) for point in one.points]
    known = [(at, percent) for at, percent in found if at is not None]
    if known:
        axes.plot(
            [at for at, _ in known],
            [percent for _, percent in known],
            color=palette.series[place % len(palette.series)],
            linewidth=1.8,
            linestyle=_DASHES[place % len(_DASHES)],
            label=one.name,
        )


def _band(axes: Axes, palette: Palette, place: int, one: Baseline) -> None:
    """The mean of phones that train alone, and one standard deviation to either side."""
    colour, spread = palette.series[place % len(palette.series)], one.spread
    deviation = 0.0 if spread is None else spread.deviation
    low, high = (100 * (one.accuracy + side * deviation) for side in (-1, 1))
    axes.axhspan(low, high, color=colour, alpha=0.15, linewidth=0)
    style = _DASHES[place % len(_DASHES)]
    axes.axhline(100 * one.accuracy, color=colour, linewidth=1.6, linestyle=style, label=one.name)


def _framed(axes: Axes, palette: Palette, facts: RunFacts, *, across: str) -> None:
    if facts.target is not None:
        axes.axhline(
            100 * facts.target,
            color=palette.target,
            linewidth=1.2,
            linestyle=(0, (6, 3)),
            label=f"target {facts.target:.1%}",
        )
    axes.set_ylim(0, 102)
    axes.set_xlim(left=0)
    named(axes, palette, across=across, place="lower right")
