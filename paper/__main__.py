"""``python -m pocketfed.paper``: runs exhibits of the paper and keeps what came of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec
from absl import app, flags, logging

from ..device_sim.data.dataset import Dataset
from ..device_sim.data.images import MNIST
from ..device_sim.data.shakespeare import SHAKESPEARE
from .averaging import mixtures
from .exhibits import EXHIBITS, FAST
from .running import AnyCell, Bench
from .runs import line_of
from .setups import TWO_NN, Setup
from .showing.page import write
from .sweeps import SWEEPS, Sweep

HERE = Path(__file__).parent
FIGURE_1 = "figure_1"
KNOWN = [FIGURE_1, "fast", "none", *EXHIBITS, *SWEEPS]

_EXHIBITS = flags.DEFINE_multi_enum(
    "exhibit",
    ["fast"],
    KNOWN,
    "what to run; fast: figure 1 and a cell of a few minutes; none: nothing",
)
_CELL = flags.DEFINE_string("cell", "", "only the cells whose names contain this")
_RESULTS = flags.DEFINE_string("results", str(HERE / "results"), "folder of what was measured")
_SCRATCH = flags.DEFINE_string("scratch", "build/paper", "folder of models and unfinished runs")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "folder with MNIST, instead of the network")
_PLAYS_DIR = flags.DEFINE_string("plays_dir", None, "folder of plays, instead of the network")
_WORKERS = flags.DEFINE_integer(
    "workers", len(os.sched_getaffinity(0)), "processes that train", lower_bound=0
)


_PAGE = flags.DEFINE_string("page", None, "then write the tables of this Markdown file anew")


def main(words: list[str]) -> None:
    if len(words) > 1:
        raise app.UsageError(f"got {words[1]!r}, expected flags only; say --exhibit=NAME")
    results, scratch = Path(_RESULTS.value), Path(_SCRATCH.value)
    bench = Bench(dataset_of=_dataset, results=results, scratch=scratch, workers=_WORKERS.value)
    for exhibit in _EXHIBITS.value:
        if exhibit in (FIGURE_1, "fast"):
            _figure_1(bench)
        _sweeps(SWEEPS.get(exhibit, ()), bench)
        _searches(FAST if exhibit == "fast" else EXHIBITS.get(exhibit, ()), bench)
    if _PAGE.value:
        write(Path(_PAGE.value), results)


def _sweeps(sweeps: Sequence[Sweep], bench: Bench) -> None:
    for sweep in sweeps:
        for cell in sweep.cells:
            if _CELL.value in cell.name:
                bench.sweep(cell, sweep.places)


def _searches(cells: Sequence[AnyCell], bench: Bench) -> None:
    for cell in cells:
        if _CELL.value in cell.name:
            print(f"best: {line_of(bench.search(cell))}", flush=True)


@cache
def _dataset(setup: Setup) -> Dataset:
    """The data of a setup, read once."""
    folder = {MNIST.name: _DATA_DIR.value, SHAKESPEARE.name: _PLAYS_DIR.value}[setup.dataset]
    return setup.fetch(data_dir=Path(folder) if folder else None)


def _figure_1(bench: Bench) -> None:
    dataset = bench.dataset_of(TWO_NN)
    for mixture in mixtures(dataset, scratch=bench.scratch / "artifacts", seed=bench.seed):
        path = bench.results / FIGURE_1 / f"{mixture.initialisation}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(mixture.to_json()) + b"\n")
        first, second = mixture.parents
        print(
            f"{mixture.initialisation} initialisation: parents {first:.3f} and {second:.3f}, "
            f"their average {mixture.middle:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    # absl tells more unless something is said, and a line for every request of a phone is too much.
    flags.FLAGS.verbosity = logging.WARNING  # type: ignore[assignment]
    app.run(main)
