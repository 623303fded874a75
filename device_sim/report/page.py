"""The page of a run: one HTML file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from ..following.monitor import RoundRow
from .amounts import bytes_of, duration_of, ratio_of
from .canvas import Picture
from .diversity import Diversity
from .facts import Lines, RunFacts
from .html import folded, listing, paragraph, pictures, section
from .style import FRAME
from .summary import Summary
from .tables import (
    SHAPES_KEY,
    baselines_table,
    exclusion_table,
    reach_table,
    rejections_table,
    rounds_table,
    shapes_table,
)


def render_page(
    summary: Summary,
    rows: Sequence[RoundRow],
    *,
    facts: RunFacts,
    diversity: Diversity,
    accuracy: Sequence[Picture],
    cohorts: Sequence[Picture],
) -> str:
    """The whole page, everything inline."""
    body = (
        listing(figures_of(summary)),
        section("Accuracy and traffic", pictures(accuracy)),
        section("Baselines", baselines_table(summary), *_notes(summary)),
        section("What was run", listing(facts.details), folded("The scenario", facts.scenario)),
        section("Who took part", paragraph(_looked_at(diversity)), pictures(cohorts)),
        section("How far phones ever came", reach_table(diversity)),
        section(
            "What became of places",
            paragraph(_EXCLUDED, is_note=True),
            exclusion_table(summary.tiers),
        ),
        section("Check-ins without a place", rejections_table(summary)),
        section("Sessions", shapes_table(summary.shapes), paragraph(SHAPES_KEY, is_note=True)),
        section("Rounds", rounds_table(rows)),
    )
    return FRAME.substitute(
        title=escape(facts.title),
        headline=escape(headline_of(summary)),
        body="\n".join(piece for piece in body if piece),
    )


def headline_of(summary: Summary) -> str:
    """How the run ended, in a sentence."""
    reached = f"{summary.accuracy:.2%} after {summary.rounds} rounds"
    if summary.target is None:
        return reached
    found = summary.to_target
    if found is None:
        return f"{reached}; the target of {summary.target:.1%} was not reached"
    return (
        f"{summary.target:.1%} reached in round {math.ceil(found.rounds)}, "
        f"after {duration_of(found.seconds)}"
    )


def figures_of(summary: Summary) -> Lines:
    """The run in a few lines, label and value."""
    return (
        ("Accuracy, last / best", f"{summary.accuracy:.2%} / {summary.best_accuracy:.2%}"),
        ("Rounds", f"{summary.rounds}"),
        ("Time on the fleet's clock", duration_of(summary.seconds)),
        ("Phones that took part", f"{summary.distinct_phones:,} of {summary.phones:,}"),
        ("Check-ins", f"{summary.check_ins:,}"),
        ("Check-ins per accepted report", ratio_of(summary.check_ins_per_report)),
        ("Sent by the phones", bytes_of(summary.bytes_up)),
        ("Updates, of what was sent", bytes_of(summary.bytes_update)),
        ("Received by the phones", bytes_of(summary.bytes_down)),
        ("Models, of what was received", bytes_of(summary.bytes_model)),
        ("Checkpoints, of what was received", bytes_of(summary.bytes_checkpoint)),
        *_to_target(summary),
        ("Seed", f"{summary.seed}"),
        ("Final checkpoint, SHA-256", summary.checkpoint),
    )


_EXCLUDED = (
    "A round closes when its goal is reached: with over-selection the slower phones come too late. "
    "A phone's own time-outs, to train and to upload, exclude those that are slower still."
)


def _notes(summary: Summary) -> list[str]:
    """What each baseline was."""
    return [paragraph(f"{one.name}: {one.note}.", is_note=True) for one in summary.baselines]


def _to_target(summary: Summary) -> Lines:
    found = summary.to_target
    if found is None:
        return ()
    moved = (found.bytes_up or 0.0) + (found.bytes_down or 0.0)
    took = f"{found.rounds:.1f} rounds, {duration_of(found.seconds)}, {bytes_of(moved)}"
    return ((f"To {summary.target:.1%}", took),)


def _looked_at(diversity: Diversity) -> str:
    never = int(diversity.times[0])
    text = f"{never:,} of {diversity.phones:,} phones never took part."
    if diversity.looked_at < diversity.phones:
        text += f" Tiers and classes are those of {diversity.looked_at:,} phones drawn by the seed."
    return text
