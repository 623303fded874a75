"""Ours beside the paper's: the tables of cells, what was not run, and whether the order is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from ...protocol.codecs import FLOAT32
from ..cells import Cell
from ..runs import Run
from .tables import best_run, markdown, runs_of

_COST = ("learning rate", "rates", "CPU s", "date")


def compared(cells: Sequence[Cell], results: Path) -> Iterator[str]:
    """Rounds to the target beside the paper's, for cells that have some there, as Markdown."""
    ran = _ran(cells, results)
    head = ("cell", "u", "paper", "ours", "ours / paper", "MB sent", *_COST)
    yield markdown(head, [_beside_the_paper(cell, best, results) for cell, best in ran])
    yield from _order(ran)
    yield from _not_run(cells, ran)


def ours(cells: Sequence[Cell], results: Path) -> Iterator[str]:
    """Rounds to the target of cells that are not in the paper, as Markdown."""
    ran = _ran(cells, results)
    rows = [
        (*_named(cell), _rounds(best), _mb(best), *_cost(cell, best, results)) for cell, best in ran
    ]
    yield markdown(("cell", "u", "rounds", "MB sent", *_COST), rows)
    yield from _not_run(cells, ran)


def encoded(cells: Sequence[Cell], results: Path) -> Iterator[str]:
    """Rounds and bytes of cells with encoded deltas beside those with float32, as Markdown."""
    ran = _ran(cells, results)
    head = ("cell", "u", "rounds, float32", "rounds", "MB, float32", "MB sent", "saved", *_COST)
    rows = []
    for cell, best in ran:
        plain = best_run(replace(cell, codec=FLOAT32), results)
        rounds, mb = (_rounds(plain), _mb(plain)) if plain else ("not run", "")
        sent = (*_named(cell), rounds, _rounds(best), mb, _mb(best), _saved(plain, best))
        rows.append((*sent, *_cost(cell, best, results)))
    yield markdown(head, rows)
    yield from _not_run(cells, ran)


def _ran(cells: Sequence[Cell], results: Path) -> list[tuple[Cell, Run]]:
    """The cells that were run, each with its best rate."""
    found = ((cell, best_run(cell, results)) for cell in cells)
    return [(cell, best) for cell, best in found if best is not None]


def _beside_the_paper(cell: Cell, best: Run, results: Path) -> tuple[str, ...]:
    rounds, papers = best.rounds_to_target, cell.paper_rounds
    ratio = f"{rounds / papers:.2f}" if rounds and papers else ""
    told = (*_named(cell), str(papers), _rounds(best), ratio, _mb(best))
    return (*told, *_cost(cell, best, results))


def _named(cell: Cell) -> tuple[str, str]:
    return f"`{cell.name}`", f"{round(cell.updates, 1):g}"


def _rounds(best: Run) -> str:
    rounds = best.rounds_to_target
    return best.reached if rounds is None else f"{rounds:.1f}"


def _mb(best: Run) -> str:
    sent = best.bytes_to_target
    return "" if sent is None else f"{sent / 1e6:,.0f}"


def _saved(plain: Run | None, best: Run) -> str:
    if plain is None or not plain.bytes_to_target or not best.bytes_to_target:
        return ""
    return f"{plain.bytes_to_target / best.bytes_to_target:.1f} x"


def _cost(cell: Cell, best: Run, results: Path) -> tuple[str, ...]:
    runs = runs_of(cell, results)
    cpu_s = sum(run.cpu_s for run in runs)
    return f"{best.learning_rate:.3g}", str(len(runs)), f"{cpu_s:.0f}", best.measured_on


def _order(ran: Sequence[tuple[Cell, Run]]) -> Iterator[str]:
    """How many pairs of cells have the paper's order, and which have not."""
    arrived = [
        (papers, rounds, cell.name)
        for cell, best in ran
        if (rounds := best.rounds_to_target) is not None and (papers := cell.paper_rounds)
    ]
    pairs = [(one, two) for one, two in combinations(sorted(arrived), 2) if one[0] < two[0]]
    if not pairs:
        return
    turned = [(one, two) for one, two in pairs if one[1] >= two[1]]
    yield f"In the paper's order: {len(pairs) - len(turned)} of {len(pairs)} pairs of these cells"
    if turned:
        yield "; but not that "
        yield ", ".join(f"`{one[2]}` is before `{two[2]}`" for one, two in turned)
    yield ".\n\n"


def _not_run(cells: Sequence[Cell], ran: Sequence[tuple[Cell, Run]]) -> Iterator[str]:
    known = {cell.name for cell, _ in ran}
    missing = [cell for cell in cells if cell.name not in known]
    if missing:
        yield "Not run: "
        yield ", ".join(_with_the_papers(cell) for cell in missing)
        yield ".\n\n"


def _with_the_papers(cell: Cell) -> str:
    papers = "" if cell.paper_rounds is None else f" (paper {cell.paper_rounds})"
    return f"`{cell.name}`{papers}"
