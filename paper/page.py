"""docs/paper.md: the paper's numbers and ours beside each other, from the files of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..device_sim.report.canvas import Picture
from .averaging import kept_mixtures
from .beyond import sections
from .cells import Cell
from .exhibits import TABLES
from .pictures import FIGURE_1, FOLDER, pictures, shown
from .tables import NOT_RUN, best_run, markdown, runs_of

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
TITLES = {
    "table_1": "Table 1: the 2NN at E=1",
    "table_2": "Table 2: the CNN at C=0.1",
    "centred": "The 2NN with pixels from -1 to 1",
    "int8": "The same cells with int8 deltas",
    "shakespeare": "Table 2: the LSTM on Shakespeare at C=0.1",
    "shakespeare_small": "The LSTM on 40 roles of Shakespeare at C=0.1, not in the paper",
}


def rewritten(page: str, results: Path) -> str:
    """The page with the part between the two marks made anew."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return "".join((head, BEGIN, "\n\n", *_sections(results), END, tail))


def write(page: Path, results: Path) -> None:
    """Makes the results of a page anew, and the pictures that lie beside it."""
    page.write_text(rewritten(page.read_text("utf-8"), results), "utf-8")
    for name, picture in pictures(results).items():
        path = page.parent / FOLDER / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture.png())


def _sections(results: Path) -> Iterator[str]:
    drawn = pictures(results)
    yield from _figure_1(results / FIGURE_1, drawn)
    for exhibit, title in TITLES.items():
        yield f"### {title}\n\n"
        yield _table(TABLES[exhibit], results)
        yield shown(exhibit, drawn)
    yield from sections(results, drawn)


def _figure_1(folder: Path, drawn: Mapping[str, Picture]) -> Iterator[str]:
    yield "### Figure 1: two models and their average\n\n"
    rows = []
    for mixture in kept_mixtures(folder):
        first, second = mixture.parents
        rows.append(
            (
                mixture.initialisation,
                f"{first:.3f}",
                f"{second:.3f}",
                f"{mixture.middle:.3f}",
                "below both" if mixture.middle < min(mixture.parents) else "above both",
                mixture.measured_on,
            )
        )
    head = ("initialisation", "loss of one", "of the other", "of the average", "", "date")
    yield markdown(head, rows)
    yield shown(FIGURE_1, drawn)


def _table(cells: Sequence[Cell], results: Path) -> str:
    head = (
        "cell", "u", "paper", "ours", "ours / paper", "MB sent", "learning rate", "rates",
        "CPU s", "date",
    )  # fmt: skip
    return markdown(head, [_row(cell, results) for cell in cells])


def _row(cell: Cell, results: Path) -> tuple[str, ...]:
    paper = "-" if cell.paper_rounds is None else str(cell.paper_rounds)
    named = (f"`{cell.name}`", f"{round(cell.updates, 1):g}", paper)
    runs, best = runs_of(cell, results), best_run(cell, results)
    if best is None:
        return (*named, NOT_RUN, *[""] * 6)
    ratio, sent = "", ""
    ours = best.reached
    if (rounds := best.rounds_to_target) is not None:
        ours = f"{rounds:.1f}"
        ratio = "" if cell.paper_rounds is None else f"{rounds / cell.paper_rounds:.2f}"
        sent = f"{rounds * best.bytes_up / 1e6:,.0f}"
    cpu_s = sum(run.cpu_s for run in runs)
    rate = f"{best.learning_rate:.3g}"
    return (*named, ours, ratio, sent, rate, str(len(runs)), f"{cpu_s:.0f}", best.measured_on)
