"""Runs one cell at one learning rate, and keeps what came of it as a file.

A run that is killed goes on from its last safe point; one whose file is there is not run again.
"""

from __future__ import annotations

import csv
import resource
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from statistics import fmean

import msgspec

from .. import __version__
from ..cli.simulation import virtual
from ..cli.watching import Hopeless
from ..device_sim.data.dataset import Dataset
from ..device_sim.report.target import crossing, value_at
from ..protocol.artifact import Artifact
from ..protocol.record import Record
from .cells import Cell
from .rates import learning_rate, search
from .setups import Setup


class Point(Record, frozen=True, kw_only=True):
    """A measured checkpoint."""

    round: int
    accuracy: float
    loss: float


class Run(Record, frozen=True, kw_only=True):
    """One cell at one learning rate; ``rounds`` is how many it was given at most.

    A run that diverged until no client could report has no ``points`` and no ``checkpoint``.
    ``bytes_up`` and ``bytes_down`` are what the clients of a round sent and received on average.
    """

    cell: str
    learning_rate: float
    seed: int
    target: float
    rounds: int
    points: tuple[Point, ...]
    bytes_up: float
    bytes_down: float
    cpu_s: float
    checkpoint: str
    version: str
    measured_on: str

    @property
    def accuracy(self) -> list[float]:
        return [point.accuracy for point in self.points]

    @property
    def best_accuracy(self) -> float:
        return max(self.accuracy, default=0.0)

    @property
    def rounds_to_target(self) -> float | None:
        place = crossing(self.accuracy, self.target)
        return None if place is None else value_at(place, [point.round for point in self.points])

    @property
    def reached(self) -> str:
        """The best accuracy, and in how many rounds."""
        if not self.points:
            return "diverged"
        return f"{self.best_accuracy:.2%} in {self.points[-1].round}"

    @property
    def bytes_to_target(self) -> float | None:
        """What all clients sent until then."""
        rounds = self.rounds_to_target
        return None if rounds is None else rounds * self.bytes_up


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where cells are run: ``results`` are kept, ``scratch`` holds models and unfinished runs.

    ``dataset_of`` brings the data of a setup into memory.
    """

    dataset_of: Callable[[Setup], Dataset]
    results: Path
    scratch: Path
    workers: int
    seed: int = 0
    say: Callable[[str], None] = print

    def search(self, cell: Cell) -> Run:
        """The run of the best learning rate of the grid."""

        def measure(place: int, rounds: int) -> Run:
            return self.run(cell, place, rounds=rounds)

        place = search(measure, start=cell.start, most_rounds=cell.most_rounds)
        return self.run(cell, place, rounds=0)

    def run(self, cell: Cell, place: int, *, rounds: int) -> Run:
        """A cell at one place of the grid: the kept run if it is long enough, else a new one."""
        path = self.results / cell.name / f"{learning_rate(place):.4g}.json"
        known = Run.from_json(path.read_bytes()) if path.exists() else None
        if known and (known.rounds >= rounds or known.rounds_to_target is not None):
            return known
        made = self._made(cell, learning_rate(place), rounds)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(made.to_json()) + b"\n")
        self.say(line_of(made))
        return made

    def _made(self, cell: Cell, rate: float, rounds: int) -> Run:
        out = self.scratch / cell.name / f"{rate:.4g}"
        artifact = artifact_of(cell.setup, cell.batch_size, self.scratch / "artifacts")
        began_s = _cpu_s()
        scenario = cell.scenario(rate, rounds=rounds, seed=self.seed)
        scenario = replace(scenario, workers=str(self.workers))
        dataset = self.dataset_of(cell.setup)
        try:
            virtual(scenario, artifact=artifact, dataset=dataset, out=out, wrapped=cell.wrapped)
            rows = _rows(out / "rounds.csv")
        except Hopeless:
            rows = []
        shutil.rmtree(out)
        return Run(
            cell=cell.name,
            learning_rate=rate,
            seed=self.seed,
            target=cell.target,
            rounds=rounds,
            points=tuple(
                Point(
                    round=int(row["round"]),
                    accuracy=round(float(row["accuracy"]), 6),
                    loss=round(float(row["loss"]), 6),
                )
                for row in rows
            ),
            bytes_up=_mean(rows, "bytes_up"),
            bytes_down=_mean(rows, "bytes_down"),
            cpu_s=round(_cpu_s() - began_s, 1),
            checkpoint=rows[-1]["checkpoint"] if rows else "",
            version=__version__,
            measured_on=date.today().isoformat(),
        )


@cache
def artifact_of(setup: Setup, batch_size: int, folder: Path, seed: int = 0) -> Artifact:
    """The model of a setup for batches of this size, exported once; ``seed`` draws its weights."""
    from ..model_export import export_zoo

    out = folder / f"{setup.model}-B{batch_size}-seed{seed}"
    if out.is_dir():
        return Artifact.read(out)
    return export_zoo(
        setup.model,
        out=out,
        batch_size=batch_size,
        evaluate_batch_size=setup.tests_at_once,
        graph=True,
        seed=seed,
    )


def line_of(run: Run) -> str:
    """A run in a line."""
    rounds = run.rounds_to_target
    what = f"best {run.reached} rounds" if run.points else run.reached
    if rounds is not None:
        what = f"{run.target:.0%} after {rounds:.1f} rounds"
    return f"{run.cell} at {run.learning_rate:.4g}: {what}; {run.cpu_s:.0f} CPU s"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _mean(rows: list[dict[str, str]], column: str) -> float:
    """Over the rounds; the first row is the checkpoint from which all begins."""
    return round(fmean([float(row[column]) for row in rows[1:]] or [0.0]), 1)


def _cpu_s() -> float:
    """Seconds of processor time of this process and of its children that have ended."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
