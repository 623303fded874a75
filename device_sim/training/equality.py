"""Equality, sampled: some phones of a run are trained by two trainers, and the two are compared."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from ...protocol.artifact import Manifest
from ...protocol.errors import ParityFailure
from ...protocol.plan import Plan
from ...protocol.weights import Vector, Weights
from ..data.examples import Examples
from .trainers import Evaluation, LocalResult, NewTrainer, Trainer

# What a manifest's tolerances are for.
STEPS = 10
# As the exporter does: nudges by some last bits, and how much of what they move is allowed.
PROBES, NUDGE, PATIENCE, MOST_MOVED = 2, np.float32(2.0**-20), np.float32(4.0), 0.25


class TrainersDisagree(Exception):
    """Two trainers end too far apart, which ends the whole run.

    It is no PocketFedError, which a phone takes for a failure of its own; outside the fleet
    ``disagreement_raised`` makes it one.
    """

    def __init__(self, message: str, max_error: float) -> None:
        super().__init__(message, max_error)
        self.max_error = max_error

    def __str__(self) -> str:
        return str(self.args[0])


@contextmanager
def disagreement_raised() -> Iterator[None]:
    """Turns TrainersDisagree, which a fleet ended with, into ParityFailure; also a decorator."""
    try:
        yield
    except TrainersDisagree as error:
        raise ParityFailure(str(error), max_error=error.max_error) from error


@dataclass(frozen=True)
class EqualitySample:
    """Makes trainers that are checked from time to time: a NewTrainer around two others.

    ``fast`` trains every phone; a ``share`` of all trainings, the first of each trainer in any
    case, are also run by ``trusted``. Which ones is drawn from the stream of each training, so it
    depends neither on order nor on workers, and the run itself stays what it is.

    A weight may differ by the manifest's tolerance for every ten steps begun, and further where a
    trainer is as far from itself; beyond that the training raises TrainersDisagree. Where a trainer
    ends anywhere when it begins a few last bits off, both do half of the work, and half of that,
    until it proves something. ``deviation`` of a result that was compared is the largest
    difference as a share of what was allowed.
    """

    fast: NewTrainer
    trusted: NewTrainer
    share: float = 0.02

    def __call__(self, model: bytes, manifest: Manifest) -> Trainer:
        fast, trusted = self.fast(model, manifest), self.trusted(model, manifest)
        return _ComparedTrainer(fast, trusted, manifest, self.share)


def summary_of(deviations: Sequence[float]) -> str:
    """How many trainings were compared, and the worst of them."""
    if not deviations:
        return "none compared"
    return f"{len(deviations)} compared, at most {max(deviations):.2f} of the tolerance apart"


@dataclass
class _ComparedTrainer:
    fast: Trainer
    trusted: Trainer
    manifest: Manifest
    share: float
    has_compared: bool = False

    def train(
        self, weights: Weights, examples: Examples, *, plan: Plan, rng: np.random.Generator
    ) -> LocalResult:
        work = _Work(weights, examples, plan, copy.deepcopy(rng))
        result = self.fast.train(weights, examples, plan=plan, rng=rng)
        if self.has_compared and work.lot >= self.share:
            return result
        deviation = self._compared(work, result, work.by(self.trusted))
        self.has_compared = True
        return replace(result, deviation=deviation)

    def evaluate(self, weights: Weights, examples: Examples) -> Evaluation:
        return self.fast.evaluate(weights, examples)

    def _compared(self, work: _Work, result: LocalResult, expected: LocalResult) -> float:
        """How far two results of the same work are apart; raises TrainersDisagree."""
        self._require_facts(result, expected)
        deviation = self._deviation(work, result, expected, slack=work.no_slack)
        if deviation > 1.0:
            slacks = [
                _slack(work, expected, self.trusted),
                _slack(work, result, self.fast),
            ]
            half = work.half()
            if half and any(slack is None for slack in slacks):
                return self._compared(half, half.by(self.fast), half.by(self.trusted))
            known = [slack for slack in slacks if slack is not None]
            slack = np.maximum.reduce([work.no_slack, *known])
            deviation = self._deviation(work, result, expected, slack=slack)
        if deviation > 1.0:
            raise self._disagreement(f"{deviation:.3g} times the tolerance", result, expected)
        return deviation

    def _deviation(
        self, work: _Work, result: LocalResult, expected: LocalResult, *, slack: Vector
    ) -> float:
        """The largest difference of a weight as a share of what is allowed."""
        tolerances, begun = self.manifest.tolerances, -(-expected.steps // STEPS)
        trained = np.abs(work.weights.vector + expected.delta.vector)
        allowed = begun * (tolerances.atol + tolerances.rtol * trained) + slack
        difference = _distances(result.delta.vector, expected.delta.vector)
        is_apart = difference != 0.0
        with np.errstate(invalid="ignore"):
            shares = difference[is_apart] / allowed[is_apart]
        return float(np.max(np.nan_to_num(shares, nan=np.inf, posinf=np.inf), initial=0.0))

    def _require_facts(self, result: LocalResult, expected: LocalResult) -> None:
        facts, others = ((r.num_examples, r.steps) for r in (result, expected))
        if facts != others:
            raise self._disagreement("not even their work", result, expected)

    def _disagreement(
        self, how: str, result: LocalResult, expected: LocalResult
    ) -> TrainersDisagree:
        return TrainersDisagree(
            f"two trainers of {self.manifest.name} are {how} apart "
            f"after {result.steps} and {expected.steps} steps over {result.num_examples} and "
            f"{expected.num_examples} examples; train with --trainer=litert",
            float(np.max(_distances(result.delta.vector, expected.delta.vector), initial=0.0)),
        )


@dataclass(frozen=True)
class _Work:
    """A local training, which can be done again and in part: ``rng`` is never used up."""

    weights: Weights
    examples: Examples
    plan: Plan
    rng: np.random.Generator

    @property
    def lot(self) -> float:
        """A number of [0, 1) that is this training's own."""
        return copy.deepcopy(self.rng).random()

    @property
    def no_slack(self) -> Vector:
        return np.zeros_like(self.weights.vector)

    def by(self, trainer: Trainer) -> LocalResult:
        return trainer.train(
            self.weights, self.examples, plan=self.plan, rng=copy.deepcopy(self.rng)
        )

    def nudged(self, probe: int) -> _Work:
        """The same from weights of which each is some last bits more or less."""
        start = self.weights.vector
        signs = np.random.default_rng(probe).choice([-1.0, 1.0], start.shape).astype(np.float32)
        nudged = (start * (1 + NUDGE * signs)).astype(np.float32)
        return replace(self, weights=Weights(self.weights.spec, nudged))

    def half(self) -> _Work | None:
        """Half of the passes, or half of the examples of the only pass; None of one batch."""
        if self.plan.epochs > 1:
            return self._planned(epochs=self.plan.epochs // 2)
        taking_part = min(len(self.examples), self.plan.max_examples)
        if taking_part <= self.plan.batch_size:
            return None
        return self._planned(max_examples=taking_part // 2)

    def _planned(self, **changes: int) -> _Work:
        return replace(self, plan=msgspec.structs.replace(self.plan, **changes))


def _slack(work: _Work, expected: LocalResult, trainer: Trainer) -> Vector | None:
    """How much further than the tolerance each weight may be: four times what a nudge moves it.

    Where rounding alone decides, as before a ReLU at zero or in statistics of one example, a
    trainer is as far from itself when all weights begin a few last bits off. The same within a
    tensor, and None where that would be no proof any more.
    """
    moved = work.no_slack
    for probe in range(PROBES):
        other = work.nudged(probe).by(trainer).delta.vector
        moved = np.maximum(moved, _distances(other, expected.delta.vector))
    if not np.linalg.norm(moved) <= MOST_MOVED * np.linalg.norm(expected.delta.vector):
        return None
    for entry in work.weights.spec.entries:
        part = moved[entry.offset : entry.offset + entry.size]
        part[...] = np.max(part, initial=0.0)
    return PATIENCE * moved


def _distances(one: Vector, other: Vector) -> Vector:
    """Absolute differences; none between what is finite in neither, where training diverged."""
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(one - other)
    are_finite = np.isfinite(one), np.isfinite(other)
    distance = np.where(np.logical_and(*are_finite), distance, np.float32(np.inf))
    return np.where(np.logical_or(*are_finite), distance, np.float32(0.0))
