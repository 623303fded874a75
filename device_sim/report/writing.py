"""Writing: the files of a report into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..following.monitor import RoundRow
from .cohort_pictures import cohort_pictures
from .curves import accuracy_pictures
from .diversity import diversity_of
from .events import MISSING, write_events
from .facts import RunFacts
from .page import render_page
from .rows import baselines_to_csv, to_csv
from .summary import summarise_run


def write_report(folder: Path, *, rows: Sequence[RoundRow], facts: RunFacts) -> Path:
    """Writes all files into ``folder``; returns the page to open.

    Raises DataError when no checkpoint was evaluated.
    """
    summary = summarise_run(rows, facts)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rounds.csv").write_text(to_csv(rows), encoding="utf-8", newline="")
    (folder / "summary.json").write_bytes(summary.to_json())
    _write_baselines(folder / "baselines.csv", facts)
    if not write_events(folder / "tensorboard", rows, facts.baselines):
        facts.say(MISSING)
    accuracy = accuracy_pictures(rows, facts)
    (folder / "accuracy.png").write_bytes(accuracy[0].png())
    diversity = diversity_of(
        facts.tallies.census,
        rows,
        phones=facts.phones,
        seed=facts.seed,
        owned=facts.owned,
        tier_of=facts.tier_of,
    )
    page = folder / "index.html"
    page.write_text(
        render_page(
            summary,
            rows,
            facts=facts,
            diversity=diversity,
            accuracy=accuracy,
            cohorts=cohort_pictures(rows, diversity),
        ),
        encoding="utf-8",
    )
    return page


def _write_baselines(path: Path, facts: RunFacts) -> None:
    if facts.baselines:
        path.write_text(baselines_to_csv(facts.baselines), encoding="utf-8", newline="")
    else:
        path.unlink(missing_ok=True)
