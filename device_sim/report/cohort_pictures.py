"""Cohorts in pictures: who took part, how often, and whose classes were learned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..following.monitor import RoundRow
from .canvas import Palette, Picture, named, short_numbers, whole_numbers
from .diversity import Classes, Counts, Diversity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BARS = 24
# Beyond this ratio of the largest to the least, bars are drawn on a logarithmic scale.
_STEEP = 100


def cohort_pictures(rows: Sequence[RoundRow], diversity: Diversity) -> list[Picture]:
    """Phones so far, newcomers, how often each took part, and classes where there are any."""
    pictures = [
        Picture(
            "Distinct phones so far",
            f"Distinct phones that took part against rounds, of {diversity.phones:,}",
            partial(_distinct, rows, diversity.phones),
        ),
        Picture(
            "Newcomers, % of the accepted",
            "The share of accepted phones that had never taken part before, by round",
            partial(_newcomers, rows),
        ),
        Picture(
            "Phones by how often they took part",
            "How many phones took part so many times",
            partial(_times, diversity.times),
        ),
    ]
    if diversity.classes is not None:
        pictures += _of_classes(diversity.classes)
    return pictures


def _of_classes(classes: Classes) -> list[Picture]:
    return [
        Picture(
            "Examples by class, %",
            "The mix of classes in cohorts beside that of the population",
            partial(_mix, classes),
        ),
        Picture(
            "Distance of cohorts from the population",
            "How far the mix of classes of single rounds is from that of the population, 0 to 1",
            partial(_distances, classes),
        ),
        Picture(
            "Never learned from, % of a class",
            "Of each class, the share of examples that lie with phones that never took part",
            partial(_left_out, classes),
        ),
    ]


def _distinct(rows: Sequence[RoundRow], phones: int, axes: Axes, palette: Palette) -> None:
    rounds, distinct = [row.round for row in rows], [row.standing.distinct for row in rows]
    axes.plot(rounds, distinct, color=palette.run, linewidth=2.2)
    if phones <= 2 * max(distinct, default=0):
        axes.axhline(
            phones,
            color=palette.soft,
            linewidth=1.2,
            linestyle=(0, (6, 3)),
            label=f"all {phones:,} phones",
        )
    axes.set_ylim(bottom=0)
    named(axes, palette, across="round", place="lower right")
    whole_numbers(axes)
    short_numbers(axes)


def _newcomers(rows: Sequence[RoundRow], axes: Axes, palette: Palette) -> None:
    shares = [(row.round, 100 * row.newcomers / row.accepted) for row in rows if row.accepted]
    if shares:
        axes.plot(*zip(*shares, strict=True), color=palette.run, linewidth=2.2)
    axes.set_ylim(0, 102)
    named(axes, palette, across="round")
    whole_numbers(axes)


def _times(times: Counts, axes: Axes, palette: Palette) -> None:
    """A bar for each number of times, or for equal ranges of it where there are many."""
    wide = max(1, -(-len(times) // _BARS))
    heights = np.add.reduceat(times, np.arange(0, len(times), wide))
    lefts = np.arange(len(heights)) * wide
    axes.bar(lefts, heights, width=0.85 * wide, align="edge", color=palette.run)
    if wide == 1:
        axes.set_xticks(lefts + 0.425, [f"{at}" for at in lefts])
        axes.xaxis.set_tick_params(labelsize=9 if len(lefts) <= 12 else 7)
    if heights.max() > _STEEP * heights[heights > 0].min():
        axes.set_yscale("symlog")
    short_numbers(axes)
    axes.grid(visible=False, axis="x")
    named(axes, palette, across="updates accepted of a phone")


def _mix(classes: Classes, axes: Axes, palette: Palette) -> None:
    at = np.arange(len(classes.population))
    axes.bar(at - 0.21, 100 * classes.population, 0.4, color=palette.soft, label="population")
    axes.bar(at + 0.21, 100 * classes.cohorts, 0.4, color=palette.run, label="cohorts")
    axes.set_ylim(0, 140 * max(classes.population.max(), classes.cohorts.max()))
    _by_class(axes, palette, len(at))


def _distances(classes: Classes, axes: Axes, palette: Palette) -> None:
    rounds, distances = zip(*classes.distances, strict=True)
    axes.plot(rounds, distances, "o-", color=palette.run, linewidth=1.4, markersize=3.5)
    axes.set_ylim(0, max(0.1, 1.15 * max(distances)))
    named(axes, palette, across="round")
    whole_numbers(axes)


def _left_out(classes: Classes, axes: Axes, palette: Palette) -> None:
    at = np.arange(len(classes.left_out))
    axes.bar(at, 100 * classes.left_out, 0.7, color=palette.target)
    axes.set_ylim(0, max(5.0, 115 * classes.left_out.max()))
    _by_class(axes, palette, len(at))


def _by_class(axes: Axes, palette: Palette, count: int) -> None:
    axes.grid(visible=False, axis="x")
    if count <= 12:
        axes.set_xticks(range(count))
    named(axes, palette, across="class", place="upper right")
