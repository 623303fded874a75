"""Runs: what came of one cell at one learning rate, as it is kept in a file."""

from __future__ import annotations

from ..device_sim.report.target import crossing, value_at
from ..protocol.record import Record
from .rates import BEHIND


class Point(Record, frozen=True, kw_only=True):
    """A measured checkpoint."""

    round: int
    accuracy: float
    loss: float


class Run(Record, frozen=True, kw_only=True):
    """One cell at one learning rate; ``rounds`` is how many it was given at most.

    The rounds of centralised SGD are updates; it keeps no ``checkpoint`` and sends nothing. A run
    that diverged until no client could report has no ``points`` and no ``checkpoint`` either.
    One that was far behind the best ends before ``rounds``.
    ``bytes_up`` and ``bytes_down`` are what the clients of a round sent and received on average.
    """

    cell: str
    learning_rate: float
    seed: int
    target: float | None
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
        if self.target is None:
            return None
        place = crossing(self.accuracy, self.target)
        return None if place is None else value_at(place, [point.round for point in self.points])

    @property
    def has_ended(self) -> bool:
        """Whether more rounds would change nothing: the target is reached, or it diverged."""
        return self.rounds_to_target is not None or not self.points

    def outpaces(self, round_: int, accuracy: float) -> bool:
        """Whether a run that is at this accuracy now has fallen far behind this one."""
        early = (point.accuracy for point in self.points if point.round * BEHIND <= round_)
        return max(early, default=0.0) > accuracy

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


def line_of(run: Run) -> str:
    """A run in a line."""
    rounds = run.rounds_to_target
    what = f"best {run.reached} rounds" if run.points else run.reached
    if rounds is not None and run.target is not None:
        what = f"{run.target:.0%} after {rounds:.1f} rounds"
    return f"{run.cell} at {run.learning_rate:.4g}: {what}; {run.cpu_s:.0f} CPU s"
