"""docs/paper.md: the paper's numbers and ours beside each other, from the files of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ...device_sim.report.canvas import Picture
from ..averaging import kept_mixtures
from ..exhibits import TABLES
from .beyond import sections
from .comparing import compared, encoded, ours
from .pictures import FIGURE_1, FOLDER, pictures, shown
from .tables import markdown

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
# Of every table its title and what it is set beside.
SHOWN = {
    "table_1": ("Table 1: the 2NN at E=1", compared),
    "table_2": ("Table 2: the CNN at C=0.1", compared),
    "centred": ("The 2NN with pixels from -1 to 1", compared),
    "int8": ("The same cells with int8 deltas", encoded),
    "shakespeare": ("Table 2: the LSTM on Shakespeare at C=0.1", compared),
    "shakespeare_small": ("The LSTM on 40 roles of Shakespeare at C=0.1", ours),
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
    for exhibit, (title, tables) in SHOWN.items():
        yield f"### {title}\n\n"
        yield from tables(TABLES[exhibit], results)
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
