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
from ..device_sim.data.dataset import Dataset
from ..device_sim.report.target import crossing, value_at
from ..protocol.artifact import Artifact
from ..protocol.record import Record
from .cells import Cell
from .rates import learning_rate, search

EVALUATE_BATCH = 1000


class Point(Record, frozen=True, kw_only=True):
    """A measured checkpoint."""

    round: int
    accuracy: float
    loss: float


class Run(Record, frozen=True, kw_only=True):
    """One cell at one learning rate; ``rounds`` is how many it was given at most.

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
        return max(self.accuracy)

    @property
    def rounds_to_target(self) -> float | None:
        place = crossing(self.accuracy, self.target)
        return None if place is None else value_at(place, [point.round for point in self.points])

    @property
    def bytes_to_target(self) -> float | None:
        """What all clients sent until then."""
        rounds = self.rounds_to_target
        return None if rounds is None else rounds * self.bytes_up


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where cells are run: ``results`` are kept, ``scratch`` holds models and unfinished runs."""

    dataset: Dataset
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
        artifact = artifact_of(cell.model, cell.batch_size, self.scratch / "artifacts")
        began_s = _cpu_s()
        scenario = cell.scenario(rate, rounds=rounds, seed=self.seed)
        scenario = replace(scenario, workers=str(self.workers))
        virtual(scenario, artifact=artifact, dataset=self.dataset, out=out)
        rows = _rows(out / "rounds.csv")
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
            bytes_up=round(fmean(float(row["bytes_up"]) for row in rows[1:]), 1),
            bytes_down=round(fmean(float(row["bytes_down"]) for row in rows[1:]), 1),
            cpu_s=round(_cpu_s() - began_s, 1),
            checkpoint=rows[-1]["checkpoint"],
            version=__version__,
            measured_on=date.today().isoformat(),
        )


@cache
def artifact_of(model: str, batch_size: int, folder: Path, seed: int = 0) -> Artifact:
    """A model of the zoo for batches of this size, exported once; ``seed`` draws its weights."""
    from ..model_export import export_zoo

    out = folder / f"{model}-B{batch_size}-seed{seed}"
    if out.is_dir():
        return Artifact.read(out)
    return export_zoo(
        model,
        out=out,
        batch_size=batch_size,
        evaluate_batch_size=EVALUATE_BATCH,
        graph=True,
        seed=seed,
    )


def line_of(run: Run) -> str:
    """A run in a line."""
    rounds = run.rounds_to_target
    what = f"best {run.best_accuracy:.2%} in {run.points[-1].round} rounds"
    if rounds is not None:
        what = f"{run.target:.0%} after {rounds:.1f} rounds"
    return f"{run.cell} at {run.learning_rate:.4g}: {what}; {run.cpu_s:.0f} CPU s"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _cpu_s() -> float:
    """Seconds of processor time of this process and of its children that have ended."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
