"""What the page shows beside the paper's tables: baselines, large E, rates, first weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ...device_sim.report.canvas import Picture
from ..beginnings import MEANINGS
from ..exhibits import BASELINES, Comparison
from ..rates import learning_rate
from ..runs import Run
from ..sweeps import FIRST_WEIGHTS, LARGE_E, RATES_2NN, Sweep
from .pictures import RATES, shown
from .tables import NOT_RUN, best_run, markdown, run_at


def sections(results: Path, drawn: Mapping[str, Picture]) -> Iterator[str]:
    """The parts of the page, as Markdown."""
    yield "### Baselines\n\n"
    head = ("model", "partition", "SGD, updates", "FedSGD", "FedAvg", "FedSGD / FedAvg", "paper's")
    yield markdown(head, [_compared(one, results) for one in BASELINES])
    yield "### Large E: training loss\n\n"
    for name, sweep in LARGE_E.items():
        yield from _losses(sweep, results)
        yield shown(name, drawn)
    yield "### The 2NN at every learning rate: IID, C=0.1, E=1, B=10\n\n"
    yield _rates(results)
    yield shown(RATES, drawn)
    yield "### The 2NN from other first weights: IID, C=0.1, E=1, B=10\n\n"
    yield _first_weights(results)


def _compared(one: Comparison, results: Path) -> tuple[str, ...]:
    cells = (one.pooled, one.fedsgd, one.fedavg)
    best = [best_run(cell, results) for cell in cells]
    told = [NOT_RUN if run is None else _to_target(run) for run in best]
    _, slow, fast = [None if run is None else run.rounds_to_target for run in best]
    papers = ""
    if one.fedsgd.paper_rounds and one.fedavg.paper_rounds:
        papers = f"{one.fedsgd.paper_rounds / one.fedavg.paper_rounds:.1f}"
    ours = f"{slow / fast:.1f}" if slow and fast else ""
    return (one.fedavg.setup.name, one.fedavg.partition, *told, ours, papers)


def _to_target(run: Run) -> str:
    rounds = run.rounds_to_target
    return run.reached if rounds is None else f"{rounds:.1f}"


def _losses(sweep: Sweep, results: Path) -> Iterator[str]:
    place = sweep.places[0]
    ran = {cell: run for cell in sweep.cells if (run := run_at(cell, place, results))}
    missing = ", ".join(f"E={cell.epochs}" for cell in sweep.cells if cell not in ran)
    yield f"**{sweep.title}**, B=10, learning rate {learning_rate(place):.3g}"
    yield f"; not run: {missing}\n\n" if missing else "\n\n"
    most = sweep.cells[0].most_rounds
    looks = (most // 4, most // 2, most)
    head = ("E", "u", *(f"after {look} rounds" for look in looks), "lowest", "CPU s", "date")
    rows = []
    for cell, run in ran.items():
        named = (str(cell.epochs), f"{round(cell.updates, 1):g}")
        lowest = min((point.loss for point in run.points), default=float("nan"))
        after = (_loss_after(run, look) for look in looks)
        rows.append((*named, *after, f"{lowest:.4f}", f"{run.cpu_s:.0f}", run.measured_on))
    yield markdown(head, rows)


def _loss_after(run: Run, round_: int) -> str:
    found = [point.loss for point in run.points if point.round == round_]
    return f"{found[0]:.4f}" if found else "diverged"


def _rates(results: Path) -> str:
    (cell,) = RATES_2NN.cells
    rows = []
    for place in RATES_2NN.places:
        rate, run = f"{learning_rate(place):.3g}", run_at(cell, place, results)
        if run is None:
            rows.append((rate, NOT_RUN, "", "", ""))
            continue
        rounds, ratio = run.rounds_to_target, ""
        if rounds is not None and cell.paper_rounds:
            ratio = f"{rounds / cell.paper_rounds:.2f}"
        rows.append((rate, _to_target(run), ratio, f"{run.cpu_s:.0f}", run.measured_on))
    return markdown(("learning rate", "rounds to 97 %", "/ paper's 87", "CPU s", "date"), rows)


def _first_weights(results: Path) -> str:
    places = next(iter(FIRST_WEIGHTS.values())).places
    head = ("first weights", *(f"rounds at {learning_rate(place):.3g}" for place in places))
    rows = [("Glorot-uniform, the zoo's", *_at_rates(RATES_2NN, places, results))]
    rows += [
        (MEANINGS[weights], *_at_rates(sweep, places, results))
        for weights, sweep in FIRST_WEIGHTS.items()
    ]
    return markdown(head, rows)


def _at_rates(sweep: Sweep, places: tuple[float, ...], results: Path) -> Iterator[str]:
    (cell,) = sweep.cells
    for place in places:
        run = run_at(cell, place, results)
        yield NOT_RUN if run is None else _to_target(run)
