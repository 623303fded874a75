"""Lines: any few curves in one picture, told apart by colour, dashes and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .canvas import Palette, Picture, named

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOOKS = (("-", "o"), ((0, (5, 2)), "s"), ((0, (1, 1.2)), "^"), ((0, (4, 1.5, 1, 1.5)), "D"))
_MOST_TICKS = 8


@dataclass(frozen=True)
class Line:
    """Points of one curve."""

    name: str
    across: Sequence[float]
    up: Sequence[float]


def lines_picture(
    title: str,
    lines: Sequence[Line],
    *,
    across: str,
    has_log_across: bool = False,
    has_log_up: bool = False,
) -> Picture:
    """A picture of the lines; ``across`` names what runs across, ``title`` what goes up.

    On a logarithmic scale across, the ticks are at the points, if those are few.
    """
    ends = (f"{line.name}: {line.up[-1]:.4g}" for line in lines)
    alt = f"{title} against {across}; at the end {', '.join(ends)}"
    return Picture(title, alt, partial(_draw, lines, across, has_log_across, has_log_up))


def _draw(
    lines: Sequence[Line],
    across: str,
    has_log_across: bool,
    has_log_up: bool,
    axes: Axes,
    palette: Palette,
) -> None:
    colours = (palette.run, *palette.series, palette.target, palette.soft)
    for place, line in enumerate(lines):
        dashes, mark = _LOOKS[place % len(_LOOKS)]
        axes.plot(
            line.across,
            line.up,
            label=line.name,
            color=colours[place % len(colours)],
            linestyle=dashes,
            linewidth=1.6,
            marker=mark,
            markersize=4,
            markevery=max(1, len(line.up) // 8),
        )
    if has_log_across:
        _log_across(axes, sorted({place for line in lines for place in line.across}))
    if has_log_up:
        _log_up(axes)
    named(axes, palette, across=across)


def _log_up(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")


def _log_across(axes: Axes, places: Sequence[float]) -> None:
    axes.set_xscale("log")
    if len(places) <= _MOST_TICKS:
        axes.set_xticks(places, [f"{place:.3g}" for place in places])
    else:
        axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.minorticks_off()
