"""Runs one cell at one learning rate, and keeps what came of it as a file.

A run that is killed goes on from its last safe point; one whose file is there is not run again.
"""

from __future__ import annotations

import csv
import math
import resource
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, partial
from itertools import takewhile
from pathlib import Path
from statistics import fmean
from typing import Protocol, TypeAlias

import msgspec

from .. import __version__
from ..cli.simulating.simulation import virtual
from ..device_sim.data.dataset import Dataset
from ..device_sim.report.baselines import BaselinePoint
from ..protocol.artifact import Artifact
from ..protocol.errors import HopelessRun
from .cells import Cell
from .pooled import Pooled
from .rates import learning_rate, search
from .runs import Point, Run, line_of
from .setups import Setup

AnyCell: TypeAlias = Cell | Pooled


class Measured(Protocol):
    """How far a run had come after a round."""

    @property
    def round(self) -> int: ...

    @property
    def accuracy(self) -> float: ...


# Whether a run shall end, by what was measured so far.
GivesUp: TypeAlias = Callable[[Sequence[Measured]], bool]


@dataclass(frozen=True)
class _Outcome:
    """What came of a run, before it is named."""

    points: tuple[Point, ...]
    bytes_up: float = 0.0
    bytes_down: float = 0.0
    checkpoint: str = ""

    @classmethod
    def of(cls, rows: list[dict[str, str]]) -> _Outcome:
        """From the rows of a simulation's report."""
        curve = ((int(row["round"]), float(row["accuracy"]), float(row["loss"])) for row in rows)
        return cls(
            _points(curve),
            _mean(rows, "bytes_up"),
            _mean(rows, "bytes_down"),
            rows[-1]["checkpoint"],
        )


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

    def search(self, cell: AnyCell) -> Run:
        """The run of the best learning rate of the grid."""

        def measure(place: int, rounds: int, best: Run | None) -> Run:
            return self.run(cell, place, rounds=rounds, rival=best)

        place = search(measure, start=cell.start, most_rounds=cell.most_rounds)
        return self.run(cell, place, rounds=0)

    def sweep(self, cell: AnyCell, places: Sequence[float]) -> list[Run]:
        """A cell at each of these places, for all its rounds or until it is at the target."""
        return [self.run(cell, place, rounds=cell.most_rounds) for place in places]

    def run(self, cell: AnyCell, place: float, *, rounds: int, rival: Run | None = None) -> Run:
        """A cell at one place of the grid: the kept run if it is long enough, else a new one.

        A new one ends where it is far behind ``rival``.
        """
        path = self.results / cell.name / f"{learning_rate(place):.4g}.json"
        known = Run.from_json(path.read_bytes()) if path.exists() else None
        if known and (known.rounds >= rounds or known.has_ended):
            return known
        made = self._made(cell, learning_rate(place), rounds, rival)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(made.to_json()) + b"\n")
        self.say(line_of(made))
        return made

    def _made(self, cell: AnyCell, rate: float, rounds: int, rival: Run | None) -> Run:
        artifact = artifact_of(cell.setup, cell.batch_size, self.scratch / "artifacts")
        began_s = _cpu_s()
        came = self._came(cell, artifact, rate, rounds, _behind(rival))
        return Run(
            cell=cell.name,
            learning_rate=rate,
            seed=self.seed,
            target=cell.target,
            rounds=rounds,
            points=came.points,
            bytes_up=came.bytes_up,
            bytes_down=came.bytes_down,
            cpu_s=round(_cpu_s() - began_s, 1),
            checkpoint=came.checkpoint,
            version=__version__,
            measured_on=date.today().isoformat(),
        )

    def _came(
        self, cell: AnyCell, artifact: Artifact, rate: float, rounds: int, gives_up: GivesUp
    ) -> _Outcome:
        """What comes of training; of a run that diverged nothing does."""
        dataset = self.dataset_of(cell.setup)
        if isinstance(cell, Pooled):
            curve = cell.curve(artifact, dataset, learning_rate=rate, rounds=rounds, seed=self.seed)
            curve = _until(gives_up, curve)
            return _Outcome(_points((at.round, at.accuracy, at.loss) for at in curve))
        out = self.scratch / cell.name / f"{rate:.4g}"
        scenario = cell.scenario(rate, rounds=rounds, seed=self.seed)
        scenario = replace(scenario, workers=str(self.workers))
        dataset = cell.measured(dataset)
        try:
            virtual(
                scenario,
                artifact=artifact,
                dataset=dataset,
                out=out,
                wrapped=cell.wrapped,
                is_enough=gives_up,
            )
            outcome = _Outcome.of(_rows(out / "rounds.csv"))
        except HopelessRun:
            outcome = _Outcome(())
        shutil.rmtree(out)
        return outcome


@cache
def artifact_of(setup: Setup, batch_size: int, folder: Path, seed: int = 0) -> Artifact:
    """The model of a setup for batches of this size, exported once; ``seed`` draws its weights."""
    from ..model_export import export_zoo

    name = setup.name if setup.beginning else setup.model
    out = folder / f"{name}-B{batch_size}-seed{seed}"
    if out.is_dir():
        return Artifact.read(out)
    exported = setup.beginning.export if setup.beginning else partial(export_zoo, graph=True)
    return exported(
        setup.model,
        out=out,
        batch_size=batch_size,
        evaluate_batch_size=setup.tests_at_once,
        seed=seed,
    )


def _behind(rival: Run | None) -> GivesUp:
    """Enough is known of a run that is far behind a rival."""

    def is_behind(measured: Sequence[Measured]) -> bool:
        if rival is None or not measured:
            return False
        return rival.outpaces(measured[-1].round, max(one.accuracy for one in measured))

    return is_behind


def _until(gives_up: GivesUp, curve: Iterable[BaselinePoint]) -> Iterator[BaselinePoint]:
    seen: list[BaselinePoint] = []
    for point in curve:
        yield point
        seen.append(point)
        if gives_up(seen):
            return


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _points(curve: Iterable[tuple[int, float, float]]) -> tuple[Point, ...]:
    """Of (round, accuracy, loss) those until the loss has left all bounds."""
    return tuple(
        Point(round=round_, accuracy=round(accuracy, 6), loss=round(loss, 6))
        for round_, accuracy, loss in takewhile(lambda at: math.isfinite(at[2]), curve)
    )


def _mean(rows: list[dict[str, str]], column: str) -> float:
    """Over the rounds; the first row is the checkpoint from which all begins."""
    return round(fmean([float(row[column]) for row in rows[1:]] or [0.0]), 1)


def _cpu_s() -> float:
    """Seconds of processor time of this process and of its children that have ended."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
