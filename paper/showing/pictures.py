"""The pictures of docs/paper.md, drawn from the files of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ...device_sim.report.canvas import Picture
from ...device_sim.report.lines import Line, lines_picture
from ..averaging import Mixture, kept_mixtures
from ..cells import Cell
from ..exhibits import CENTRED, TABLE_1, TABLE_2, TWO_NN_TARGET
from ..rates import learning_rate
from ..sweeps import LARGE_E, RATES_2NN, Sweep
from .tables import best_run, run_at

RATES = "rates_2nn"
FIGURE_1 = "figure_1"
# Where pictures lie, from the page's own folder.
FOLDER = "paper"
# The learning curves of tables: how each is titled, and the cells of which it has those that ran.
CURVES: Mapping[str, tuple[str, Sequence[Cell]]] = {
    "table_1": ("Test error, 2NN", TABLE_1),
    "table_2": ("Test error, CNN", TABLE_2),
    "centred": ("Test error, 2NN, pixels from -1 to 1", CENTRED),
}


def pictures(results: Path) -> Mapping[str, Picture]:
    """The pictures of exhibits of which something was run, by name."""
    drawn = {FIGURE_1: _figure_1(results / FIGURE_1)}
    drawn |= {name: _curves(*curves, results) for name, curves in CURVES.items()}
    drawn |= {name: _large_e(sweep, results) for name, sweep in LARGE_E.items()}
    drawn[RATES] = _rates(results)
    return {name: picture for name, picture in drawn.items() if picture is not None}


def shown(name: str, drawn: Mapping[str, Picture]) -> str:
    """A picture as Markdown, if there is one of this name."""
    return f"![{drawn[name].alt}]({FOLDER}/{name}.png)\n\n" if name in drawn else ""


def _figure_1(folder: Path) -> Picture | None:
    lines = [_mixed(mixture) for mixture in kept_mixtures(folder)]
    title = "Training loss of two models mixed"
    return lines_picture(title, lines, across="share of the first") if lines else None


def _mixed(mixture: Mixture) -> Line:
    return Line(f"{mixture.initialisation} start", mixture.thetas, mixture.losses)


def _curves(title: str, cells: Sequence[Cell], results: Path) -> Picture | None:
    """Each cell at its best rate: the share of test examples that it has wrong."""
    lines = list(_errors(cells, results))
    if not lines:
        return None
    ends = [line.across[-1] for line in lines]
    target = 1.0 - (cells[0].target or TWO_NN_TARGET)
    lines.append(Line(f"target, {target:.0%}", [1, max(ends)], [target] * 2))
    return lines_picture(title, lines, across="round", has_log_across=True, has_log_up=True)


def _errors(cells: Sequence[Cell], results: Path) -> Iterator[Line]:
    for cell in cells:
        run = best_run(cell, results)
        points = [point for point in run.points if point.round] if run else []
        if points:
            batch = "∞" if cell.batch is None else cell.batch
            yield Line(
                f"{cell.partition}, E={cell.epochs}, B={batch}",
                [point.round for point in points],
                [1.0 - point.accuracy for point in points],
            )


def _large_e(sweep: Sweep, results: Path) -> Picture | None:
    runs = [(cell, run_at(cell, sweep.places[0], results)) for cell in sweep.cells]
    lines = [
        Line(
            f"E={cell.epochs}",
            [point.round for point in run.points],
            [point.loss for point in run.points],
        )
        for cell, run in runs
        if run is not None and run.points
    ]
    title = f"Training loss, {sweep.title}"
    return lines_picture(title, lines, across="round", has_log_up=True) if lines else None


def _rates(results: Path) -> Picture | None:
    (cell,) = RATES_2NN.cells
    runs = [run_at(cell, place, results) for place in RATES_2NN.places]
    arrived = [
        (run.learning_rate, run.rounds_to_target)
        for run in runs
        if run is not None and run.rounds_to_target is not None
    ]
    if not arrived or cell.paper_rounds is None:
        return None
    rates, rounds = zip(*arrived, strict=True)
    ends = (learning_rate(RATES_2NN.places[0]), learning_rate(RATES_2NN.places[-1]))
    lines = [
        Line("ours", rates, rounds),
        Line("the paper's best", ends, [float(cell.paper_rounds)] * 2),
    ]
    title = "Rounds to 97 %, the 2NN, IID"
    return lines_picture(title, lines, across="learning rate", has_log_across=True)
